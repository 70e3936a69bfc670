package connector

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// shelf keeps standings in memory.
type shelf struct {
	mu   sync.Mutex
	rows map[[2]string]Standing
	down error
}

func (s *shelf) Standing(_ context.Context, group, actor string) (Standing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[[2]string{group, actor}], s.down
}

func (s *shelf) ChangeStanding(_ context.Context, group, actor string, next func(Standing) Standing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == nil {
		s.rows[[2]string{group, actor}] = next(s.rows[[2]string{group, actor}])
	}
	return s.down
}

func (s *shelf) Standings(_ context.Context, group, after string, limit int, now time.Time) (out []ActorStanding, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, standing := range s.rows {
		if at[0] == group && at[1] > after && standing.Active(now) {
			out = append(out, ActorStanding{at[1], standing})
		}
	}
	slices.SortFunc(out, func(a, b ActorStanding) int { return strings.Compare(a.Actor, b.Actor) })
	return out[:min(len(out), limit)], s.down
}

func (s *shelf) ForgetStandings(_ context.Context, group, actor string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.rows {
		if at[0] == group && (actor == "" || at[1] == actor) {
			delete(s.rows, at)
		}
	}
	return s.down
}

const groupDoc = `{"id":"b7c4","displayName":"myRG","evaluations":[{"key":"statusCode","value":401,"comparison":"EQUALS"},{"key":"statusCode","value":500,"comparison":"GREATER_THAN_OR_EQUAL"}],
	"identifiers":["ipAddress","customerReference"],"steps":[{"restrictOnFail":false,"ttl":30},{"restrictOnFail":true,"ttl":10},{"ttl":60,"restrictOnFail":true}]}`

func mustGroup(t *testing.T, doc string) *Group {
	t.Helper()
	g, warnings, err := ParseGroup([]byte(doc), Options{Strict: true})
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	return g
}

func restrictions(t *testing.T, s *shelf, now *time.Time) *Restrictions {
	t.Helper()
	r, err := NewRestrictions(RestrictionsConfig{
		Groups: []*Group{mustGroup(t, groupDoc)}, Store: s, Clock: func() time.Time { return *now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEscalation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	r := restrictions(t, &shelf{rows: map[[2]string]Standing{}}, &now)
	ann := Actor{ByAddress: "192.0.2.1", ByCustomer: "ann"}
	for i, step := range []struct {
		pass   time.Duration
		status int // -1: nothing is reported
		wait   time.Duration
	}{
		{0, -1, 0},
		{0, 200, 0},
		{0, 403, 0},
		{0, 401, 0}, // the first step lets pass
		{29 * time.Second, 401, 10 * time.Second},
		{9 * time.Second, -1, time.Second},
		{0, 503, 60 * time.Second},
		{59 * time.Second, 401, 60 * time.Second}, // the last step again, from anew
		{60 * time.Second, -1, 0},
		{0, 401, 0}, // from the first step on
		{30 * time.Second, 401, 0},
		{0, 0, 0}, // no answer
	} {
		now = now.Add(step.pass)
		if step.status >= 0 {
			r.Report(t.Context(), "b7c4", ann, step.status)
		}
		if got := r.Restricted(t.Context(), "b7c4", ann); got != step.wait {
			t.Errorf("%d: restricted for %v, want %v", i, got, step.wait)
		}
	}
}

func TestActors(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	r := restrictions(t, &shelf{rows: map[[2]string]Standing{}}, &now)
	report := func(a Actor) {
		r.Report(t.Context(), "b7c4", a, 401)
		r.Report(t.Context(), "b7c4", a, 401)
	}
	report(Actor{ByAddress: "192.0.2.1", ByCustomer: "ann"})
	report(Actor{ByAddress: "192.0.2.9"})
	for i, tc := range []struct {
		actor      Actor
		restricted bool
	}{
		{Actor{ByAddress: "192.0.2.1", ByCustomer: "ann", ByAccess: "else"}, true},
		{Actor{ByAddress: "192.0.2.1", ByCustomer: "bob"}, false},
		{Actor{ByAddress: "192.0.2.1"}, false},
		{Actor{ByAddress: "192.0.2.9"}, true},
		{Actor{ByAddress: "192.0.2.9", ByCustomer: ""}, false}, // empty is not missing
		{Actor{}, false},
	} {
		if got := r.Restricted(t.Context(), "b7c4", tc.actor) > 0; got != tc.restricted {
			t.Errorf("%d: %v restricted: %t", i, tc.actor, got)
		}
	}
	if r.Restricted(t.Context(), "other", Actor{ByAddress: "192.0.2.9"}) != 0 {
		t.Error("a group that is not there restricts")
	}
	active, err := r.Active(t.Context(), "b7c4", "", 10)
	if err != nil || len(active) != 2 || strings.Contains(active[0].Actor+active[1].Actor, "192") {
		t.Fatalf("Active() = %v, %v, want two digests", active, err)
	}
	if page, err := r.Active(t.Context(), "b7c4", active[0].Actor, 10); err != nil || len(page) != 1 || page[0] != active[1] {
		t.Errorf("Active() after the first = %v, %v", page, err)
	}
	for n, actor := range []string{active[0].Actor, ""} {
		if err := r.Clear(t.Context(), "b7c4", actor); err != nil {
			t.Fatal(err)
		}
		if left, _ := r.Active(t.Context(), "b7c4", "", 10); len(left) != 1-n {
			t.Errorf("%d actors left after clearing %q", len(left), actor)
		}
	}
	if _, err := r.Active(t.Context(), "other", "", 1); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Active() of no group: %v", err)
	}
	if err := r.Clear(t.Context(), "other", ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Clear() of no group: %v", err)
	}
}

func TestStoreDownRestrictsNobody(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	s := &shelf{rows: map[[2]string]Standing{}}
	failed := 0
	r := restrictions(t, s, &now)
	r.cfg.Failed = func() { failed++ }
	for range 2 {
		r.Report(t.Context(), "b7c4", Actor{}, 401)
	}
	s.down = errors.New("down")
	r.Report(t.Context(), "b7c4", Actor{}, 401)
	if wait := r.Restricted(t.Context(), "b7c4", Actor{}); wait != 0 || failed != 2 {
		t.Errorf("restricted for %v, %d failures counted", wait, failed)
	}
	var none *Restrictions
	none.Report(t.Context(), "b7c4", Actor{}, 401)
	if none.Restricted(t.Context(), "b7c4", Actor{}) != 0 {
		t.Error("no restrictions restrict")
	}
}

func TestRestrictedIsNotCalled(t *testing.T) {
	t.Parallel()
	calls := 0
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { calls++; w.WriteHeader(401) })
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	r := restrictions(t, &shelf{rows: map[[2]string]Standing{}}, &now)
	c := client(t, s.URL, `{"RestrictionGroup":"b7c4"}`, func(c *Config) { c.Groups = r })
	in := call(t)
	in.Actor = Actor{ByAddress: "192.0.2.1"}
	var got []string
	for range 4 {
		got = append(got, kind(c.Execute(t.Context(), in)))
	}
	last := c.Execute(t.Context(), in)
	if want := "http_error http_error restricted restricted"; strings.Join(got, " ") != want || calls != 2 || last.Err.RetryAfter != 10*time.Second {
		t.Errorf("%v after %d calls (%v), want %s", got, calls, last.Err, want)
	}
	in.Input = inputOf(t, `{}`)
	if r := c.Execute(t.Context(), in); kind(r) != "mapping_error" {
		t.Errorf("what is missing comes first: %s", kind(r))
	}
}

func TestComparisons(t *testing.T) {
	t.Parallel()
	for comparison, want := range map[string][3]bool{ // 400, 401, 402 with 401
		"EQUALS": {false, true, false}, "NOT_EQUAL": {true, false, true}, "GREATER_THAN": {false, false, true},
		"GREATER_THAN_OR_EQUAL": {false, true, true}, "LESS_THAN": {true, false, false}, "LESS_THAN_OR_EQUAL": {true, true, false},
	} {
		g := mustGroup(t, `{"id":"g","evaluations":[{"key":"statusCode","value":"401","comparison":"`+comparison+`"}],"identifiers":["restrictedAccess"],"steps":[{"ttl":1}]}`)
		if got := [3]bool{g.counts(400), g.counts(401), g.counts(402)}; got != want {
			t.Errorf("%s counts %v, want %v", comparison, got, want)
		}
	}
}

func TestParseGroupRefuses(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{}`: "/id is needed", `[`: "is not JSON", `{"id":"g"}`: "/identifiers must name",
		strings.Replace(groupDoc, "statusCode", "body", 1):          "/evaluations/0/key must be statusCode",
		strings.Replace(groupDoc, "EQUALS", "IS", 1):                "/evaluations/0/comparison must be one of",
		strings.Replace(groupDoc, "401", `"x"`, 1):                  "/evaluations/0/value must be a whole number",
		strings.Replace(groupDoc, "ipAddress", "name", 1):           "/identifiers/0 must be ipAddress",
		strings.Replace(groupDoc, `"ttl":10`, `"ttl":0`, 1):         "/steps/1/ttl must be a whole number",
		strings.Replace(groupDoc, `"steps":[`, `"stepz":[`, 1):      "/steps must be a list",
		strings.Replace(groupDoc, `"ttl":10`, `"ttl":1,"x":1`, 1):   "/steps/1/x is not known",
		strings.Replace(groupDoc, `["ipAddress"`, `"ipAddress"`, 1): "is not JSON",
	} {
		_, _, err := ParseGroup([]byte(doc), Options{Strict: true})
		if !strings.Contains(strings.Join(faults(err), "\n"), want) {
			t.Errorf("%.60s: %q, want %q", doc, faults(err), want)
		}
	}
	g := mustGroup(t, groupDoc)
	if _, err := NewRestrictions(RestrictionsConfig{Groups: []*Group{g, g}}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("two groups of one id: %v", err)
	}
}

// TestFewerSteps: a group that was made shorter still knows its actors.
func TestFewerSteps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	g := mustGroup(t, groupDoc)
	s := Standing{Step: 9, Until: now.Add(time.Second)}
	if wait := g.wait(s, now); wait != time.Second {
		t.Errorf("wait %v", wait)
	}
	if next := g.next(s, now); next.Step != 3 {
		t.Errorf("next %+v", next)
	}
}

func TestNewActor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		from, customer string
		want           Actor
	}{
		{"192.0.2.7", "ann", Actor{ByAddress: "192.0.2.7/32", ByCustomer: "ann", ByAccess: "ann"}},
		{"::ffff:192.0.2.7", "", Actor{ByAddress: "192.0.2.7/32"}},
		{"2001:db8:1:2:3::4", "ann", Actor{ByAddress: "2001:db8:1:2::/64", ByCustomer: "ann", ByAccess: "ann"}},
	} {
		if diff := cmp.Diff(tc.want, NewActor(netip.MustParseAddr(tc.from), tc.customer)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.from, diff)
		}
	}
	if got := NewActor(netip.Addr{}, ""); len(got) != 1 {
		t.Errorf("without an address: %v", got)
	}
}
