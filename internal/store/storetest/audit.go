package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/audit"
)

// Audit is the part of a store that keeps the audit log.
type Audit interface {
	AddEntries(ctx context.Context, entries []audit.Entry) error
	Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	ForgetEntries(ctx context.Context, before time.Time) (int, error)
}

func auditTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"audit entries keep all that they are":     testAuditRoundTrip,
		"the audit log is asked for what it has":   testAuditQuery,
		"of many writers no audit entry is missed": testAuditOrder,
		"only the oldest audit entries go":         testForgetEntries,
	}
}

func entry(at time.Duration, action audit.Action, object string) audit.Entry {
	return audit.Entry{
		At: epoch.Add(at), Actor: audit.Actor{Kind: audit.Operator, Name: "root"}, Action: action, Object: object,
		Outcome: audit.OK, Node: "n1",
	}
}

func testAuditRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	full := entry(0, audit.UserSignIn, `ann "店"`)
	full.Actor, full.Outcome, full.Address = audit.Actor{Kind: audit.User, Name: "ann"}, audit.Refused, "2001:db8::1"
	full.Details = map[audit.Detail]string{audit.Reason: "unauthenticated", audit.Count: "7"}
	want := []audit.Entry{full, {At: epoch, Action: audit.ConfigReload, Actor: audit.Actor{Kind: audit.System}, Outcome: audit.Failed}}
	must(t, s.AddEntries(ctx, want))
	want[0].ID, want[1].ID = 1, 2
	got, err := s.Entries(ctx, audit.Query{Limit: 10})
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func testAuditQuery(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	refused := entry(3*time.Minute, audit.AppAuthenticate, "c")
	refused.Actor, refused.Outcome = audit.Actor{Kind: audit.App, Name: "c"}, audit.Refused
	must(t, s.AddEntries(ctx, []audit.Entry{
		entry(0, audit.AppAdd, "a"), entry(time.Minute, audit.AppAdd, "b"), entry(2*time.Minute, audit.AppRotate, "a"), refused,
	}))
	for name, tc := range map[string]struct {
		q    audit.Query
		want string
	}{
		"all":        {audit.Query{}, "1 2 3 4"},
		"last":       {audit.Query{Limit: 2}, "3 4"},
		"first":      {audit.Query{Limit: 2, First: true}, "1 2"},
		"after":      {audit.Query{After: 2, First: true}, "3 4"},
		"since":      {audit.Query{Since: epoch.Add(time.Minute)}, "2 3 4"},
		"until":      {audit.Query{Until: epoch.Add(time.Minute)}, "1"},
		"actor":      {audit.Query{Actor: "root"}, "1 2 3"},
		"actor kind": {audit.Query{Actor: "app"}, "4"},
		"action":     {audit.Query{Actions: []audit.Action{audit.AppRotate}}, "3"},
		"actions":    {audit.Query{Actions: []audit.Action{audit.AppAuthenticate, audit.AppRotate}}, "3 4"},
		"object":     {audit.Query{Object: "a"}, "1 3"},
		"outcome":    {audit.Query{Outcome: audit.Refused}, "4"},
		"both":       {audit.Query{Object: "a", Actions: []audit.Action{audit.AppAdd}}, "1"},
		"quoted":     {audit.Query{Object: "' OR 1=1 --"}, ""},
	} {
		if tc.q.Limit == 0 {
			tc.q.Limit = 10
		}
		got, err := s.Entries(ctx, tc.q)
		must(t, err)
		if ids := idsOf(got); ids != tc.want {
			t.Errorf("%s: entries %q, want %q", name, ids, tc.want)
		}
	}
}

func idsOf(entries []audit.Entry) string {
	var ids []string
	for _, e := range entries {
		ids = append(ids, fmt.Sprint(e.ID))
	}
	return strings.Join(ids, " ")
}

// testAuditOrder follows the log while many write: whoever asks for what came after the
// last id must see all.
func testAuditOrder(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := s.AddEntries(ctx, []audit.Entry{entry(0, audit.AppAdd, fmt.Sprint(w, i, "x")), entry(0, audit.AppAdd, fmt.Sprint(w, i, "y"))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var last int64
	seen := map[string]bool{}
	for over := false; !over; {
		select {
		case <-done:
			over = true // what is left is read once more
		default:
		}
		got, err := s.Entries(ctx, audit.Query{After: last, First: true, Limit: 1000})
		must(t, err)
		for _, e := range got {
			seen[e.Object], last = true, e.ID
		}
	}
	if len(seen) != 2*writers*each {
		t.Errorf("saw %d entries of %d", len(seen), 2*writers*each)
	}
}

func testForgetEntries(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddEntries(ctx, []audit.Entry{
		entry(0, audit.AppAdd, "a"), entry(time.Hour, audit.AppAdd, "b"), entry(2*time.Hour, audit.AppAdd, "c"),
	}))
	for _, step := range []struct {
		before time.Duration
		n      int
		left   string
	}{{time.Hour, 1, "2 3"}, {0, 0, "2 3"}, {90 * time.Minute, 1, "3"}, {90 * time.Minute, 0, "3"}} {
		n, err := s.ForgetEntries(ctx, epoch.Add(step.before))
		must(t, err)
		got, err := s.Entries(ctx, audit.Query{Limit: 10})
		must(t, err)
		if ids := idsOf(got); n != step.n || ids != step.left {
			t.Errorf("ForgetEntries(%v) = %d and leaves %q, want %d and %q", step.before, n, ids, step.n, step.left)
		}
	}
	must(t, s.AddEntries(ctx, []audit.Entry{entry(3*time.Hour, audit.AppAdd, "d")}))
	if got, err := s.Entries(ctx, audit.Query{Limit: 10}); err != nil || idsOf(got) != "3 4" {
		t.Errorf("then %q, %v: ids must go on", idsOf(got), err)
	}
}
