package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/audit/audittest"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/key"
)

// entriesOf are the entries of an action, with what the store cannot know cut off.
func entriesOf(t *testing.T, core *Core, a audit.Action) (lines []string) {
	t.Helper()
	found, err := core.Entries(t.Context(), audit.Query{Actions: []audit.Action{a}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		lines = append(lines, e.Actor.String()+" "+string(e.Action)+" "+string(e.Outcome)+" "+e.String())
	}
	return lines
}

func TestReloadsAreRecorded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, dir, "")
	var next *config.Config
	var wrong error
	run(t, c, func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{Reload: func() (*config.Config, error) { return next, wrong }})
		if err != nil {
			return err
		}
		changed := *c
		changed.Log.Level, changed.Gateway.RefusedPerIP.N = "debug", 7
		next = &changed
		if err := s.reload.Reload(ctx); err != nil {
			t.Error(err)
		}
		wrong = errors.New("line 3: hunter2")
		if err := s.reload.ReloadByAdmin(ctx); err == nil {
			t.Error("a wrong configuration was reloaded")
		}
		want := []string{"system config.reload ok changed=log gateway", "admin:carnet config.reload failed "}
		if diff := cmp.Diff(want, entriesOf(t, core, audit.ConfigReload)); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		w := httptest.NewRecorder()
		s.metrics.Exposition().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
		for _, line := range []string{`carnet_audit_entries_total{action="config.reload",outcome="ok"} 1`, "carnet_audit_dropped_total 0"} {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("the metrics have no %s", line)
			}
		}
		return s.close()
	})
}

// TestRotationsAreRecorded lets keys grow so old that Carnet rotates them.
func TestRotationsAreRecorded(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	core, err := Open(t.Context(), Options{
		Config: load(t, t.TempDir(), "keys: {sts: {algorithms: [ES256]}}"), Stdin: bufio.NewReader(strings.NewReader("")), Log: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	err = core.Run(t.Context(), func(ctx context.Context) error {
		if first := append(entriesOf(t, core, audit.KeyRotate), entriesOf(t, core, audit.KeyRetire)...); first != nil {
			t.Errorf("first keys replace none, and are told as %q", first)
		}
		later.Store(int64(90*24*time.Hour - 10*time.Minute))
		for range 2 { // the second time nothing is due
			if err := core.Keys.RotateDue(ctx); err != nil {
				return err
			}
		}
		var begin, end []string
		for _, set := range []key.SetName{"access", "sts"} {
			for _, k := range core.Keys.List(set) {
				if k.State(core.now()) == key.Pending {
					begin = append(begin, fmt.Sprintf("system key.rotate ok at=%s key=%s", instant(k.Active), k.Public.ID()))
				} else {
					end = append(end, fmt.Sprintf("system key.retire ok at=%s of=%s until=%s", instant(k.Retire), set, instant(k.Expire)))
				}
			}
		}
		if len(begin) != 3 {
			t.Fatalf("new keys: %q", begin)
		}
		sorted := cmpopts.SortSlices(strings.Compare)
		if diff := cmp.Diff(begin, entriesOf(t, core, audit.KeyRotate), sorted); diff != "" {
			t.Errorf("keys that begin (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(end, entriesOf(t, core, audit.KeyRetire), sorted); diff != "" {
			t.Errorf("keys that end (-want +got):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLastEventsAreWritten stops a core right after something was noted.
func TestLastEventsAreWritten(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), "audit: {addresses: network, retention: 48h}")
	run(t, c, func(_ context.Context, core *Core) error {
		core.Audit.Note(audit.Entry{Actor: audit.Actor{Kind: audit.User}, Action: audit.UserSignIn, Object: "ann"}, netip.MustParseAddr("192.0.2.7"))
		return nil
	})
	run(t, c, func(ctx context.Context, core *Core) error {
		found, err := core.Entries(ctx, audit.Query{Limit: 10})
		if err != nil || len(found) != 1 || found[0].Object != "ann" || found[0].Address != "192.0.2.0/24" {
			t.Errorf("entries %+v, %v", found, err)
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{47 * time.Hour, 0}, {49 * time.Hour, 1}, {49 * time.Hour, 0}} {
			if n, err := core.forgetEntries(ctx, time.Now().Add(step.after)); n != step.want || err != nil {
				t.Errorf("after %v %d are deleted, want %d: %v", step.after, n, step.want, err)
			}
		}
		return nil
	})
}

func TestEndingAppsAreNoted(t *testing.T) {
	t.Parallel()
	var kept audittest.Store
	log, lines := audittest.New(t, &kept, audit.Config{})
	ends := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	e := endings{
		apps: func(time.Time) ([]*app.App, time.Duration, bool) {
			return []*app.App{{ID: "app_shop", Name: "shop", Secrets: []app.Secret{{NotAfter: ends}}}}, time.Hour, true
		},
		keys: func() []string { return nil }, now: time.Now, log: slog.New(slog.DiscardHandler), told: log,
	}
	e.warn(t.Context())
	if diff := cmp.Diff([]string{"system app.ending app_shop ok at=2026-06-01T12:00:00Z name=shop"}, lines()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
