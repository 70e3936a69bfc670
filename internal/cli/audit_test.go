package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

// on runs a command on a data directory.
func on(t *testing.T, dir string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := Run(t.Context(), args, IO{In: strings.NewReader(""), Out: &out, Err: &errOut, Environ: []string{"CARNET_DATA=" + dir}})
	return result{code, out.String(), errOut.String()}
}

// giveUp leaves two turns that were given up in a store.
func giveUp(t *testing.T, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = s.Close()
	}()
	ctx, now := t.Context(), time.Now()
	for _, id := range []chat.ID{"cnv_1", "cnv_2"} {
		c := chat.Conversation{ID: id, Bot: "echo", User: chat.User{Issuer: "iss", Subject: string(id)}, Created: now}
		if err := s.AddConversation(ctx, c, true); err != nil {
			t.Fatal(err)
		}
	}
	turns, err := s.LeaseTurns(ctx, "echo", now, now.Add(time.Minute), 2)
	if err != nil || len(turns) != 2 {
		t.Fatalf("LeaseTurns() = %v, %v", turns, err)
	}
	for _, turn := range turns {
		if _, _, err := s.DropTurn(ctx, turn, "no answer", []chat.Draft(nil), now); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAuditOfTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := on(t, dir, "turns", "list"); got.code != 0 { // there are master keys now
		t.Fatalf("%+v", got)
	}
	giveUp(t, filepath.Join(dir, "carnet.db"))
	for _, args := range [][]string{{"turns", "retry", "1"}, {"turns", "drop", "--all"}} {
		if got := on(t, dir, args...); got.code != 0 {
			t.Fatalf("%v: %+v", args, got)
		}
	}
	got := on(t, dir, "audit", "query", "--action", "turn.*")
	for _, want := range []string{"turn.retry  1 ", "turn.drop   2 "} {
		if strings.Count(got.out, want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, got.out)
		}
	}
}

// lines collects what a command that goes on prints.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has room for one
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestAuditTailFollows has another process's entries printed as they come.
func TestAuditTailFollows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{{"apps", "add", "old"}, {"apps", "add", "last"}} {
		if got := on(t, dir, args...); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	out := &lines{more: make(chan struct{}, 1)}
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"audit", "tail", "-f", "-n", "1", "--format", "json"}, IO{
			In: strings.NewReader(""), Out: out, Err: out, Environ: []string{"CARNET_DATA=" + dir},
		})
	}()
	await := func(name string) {
		t.Helper()
		for !strings.Contains(out.String(), `"name":"`+name+`"`) {
			select {
			case <-out.more:
			case <-time.After(time.Minute):
				t.Fatalf("no %q in\n%s", name, out)
			}
		}
	}
	await("last")
	if got := on(t, dir, "apps", "add", "new"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	await("new")
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(out.String(), "old") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("printed\n%s", out)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%s is not JSON", line)
		}
	}
}

func TestGivenFlags(t *testing.T) {
	t.Parallel()
	name, scopes := "", []string{}
	for want, c := range map[string]appsSet{
		"":            {},
		"Name Scopes": {Name: &name, appFlags: appFlags{Scopes: &scopes}},
	} {
		if got := givenFlags(c); got != want {
			t.Errorf("givenFlags() = %q, want %q", got, want)
		}
	}
}

func TestAuditQueryFlags(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	q, err := auditQuery{Since: "24h", Until: "2026-06-01T11:00:00Z", Action: "key.*", Outcome: "ok", Limit: 5}.query(now)
	if err != nil || !q.Since.Equal(now.Add(-24*time.Hour)) || !q.Until.Equal(now.Add(-time.Hour)) || len(q.Actions) != 4 || q.Limit != 5 {
		t.Errorf("query() = %+v, %v", q, err)
	}
	if _, err := (auditQuery{Limit: 10001}).query(now); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a large limit: %v", err)
	}
}
