package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

var ann = chat.User{Issuer: "https://issuer.test", Subject: "ann"}

// uses are what callers do, each of which must end in time.
func uses(s *running) map[string]func(context.Context, int) error {
	return map[string]func(context.Context, int) error{
		"append": func(ctx context.Context, i int) error {
			draft := chat.Draft{ID: fmt.Sprint("m", i), From: chat.FromUser, Body: []byte(`{}`)}
			_, _, err := s.AppendMessages(ctx, "cnv_1", []chat.Draft{draft}, time.Now(), time.Time{})
			return err
		},
		"history": func(ctx context.Context, _ int) error {
			_, err := s.MessagesBefore(ctx, "cnv_1", 0, 10)
			return err
		},
		"find": func(ctx context.Context, _ int) error {
			_, err := s.FindConversation(ctx, "cnv_1")
			return err
		},
		"stands": func(ctx context.Context, _ int) error {
			_, err := s.Stands(ctx, []chat.ID{"cnv_1"})
			return err
		},
		"revoke": func(ctx context.Context, i int) error {
			_, err := s.AddRevocation(ctx, revocation.Entry{Target: revocation.Target{Kind: revocation.ByToken, Name: fmt.Sprint("t", i)}})
			return err
		},
		"version": func(ctx context.Context, _ int) error {
			_, err := s.Version(ctx)
			return err
		},
	}
}

// TestAway: a server that is gone, or says nothing, makes calls fail as temporary, within
// a bound, and what was told to fail was not done. When it is back they succeed.
func TestAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		begin func(*pgtest.Server)
		end   func(*pgtest.Server) error
		bound time.Duration
	}{
		"killed":  {(*pgtest.Server).Kill, (*pgtest.Server).Restart, 11 * time.Second},
		"stopped": {(*pgtest.Server).Stop, func(s *pgtest.Server) error { s.Continue(); return nil }, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t)
			url, err := server.Database("")
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, url)
			if err := s.AddConversation(t.Context(), chat.Conversation{ID: "cnv_1", Bot: "echo", User: ann}, false); err != nil {
				t.Fatal(err)
			}
			for what, use := range uses(s) {
				if err := use(t.Context(), 0); err != nil {
					t.Fatalf("%s before: %v", what, err)
				}
			}
			tc.begin(server)
			began := time.Now()
			var all sync.WaitGroup
			for what, use := range uses(s) {
				for i := range 5 {
					all.Go(func() {
						if err := use(t.Context(), 1+i); fault.KindOf(err) != fault.Unavailable {
							t.Errorf("%s: error = %v, want %v", what, err, fault.Unavailable)
						}
					})
				}
			}
			all.Wait()
			if took := time.Since(began); took > tc.bound {
				t.Errorf("the last answer came after %v, want it within %v", took, tc.bound)
			}
			if err := tc.end(server); err != nil {
				t.Fatal(err)
			}
			for what, use := range uses(s) {
				until := time.Now().Add(time.Minute)
				for err := use(t.Context(), 10); err != nil; err = use(t.Context(), 10) {
					if fault.KindOf(err) != fault.Unavailable || time.Now().After(until) {
						t.Fatalf("%s afterwards: %v", what, err)
					}
					<-time.After(50 * time.Millisecond)
				}
			}
			messages, err := s.MessagesAfter(t.Context(), "cnv_1", 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range messages {
				if m.Seq != int64(i)+1 {
					t.Errorf("message %d has number %d", i, m.Seq)
				}
			}
		})
	}
}

// TestPoolIsFull: who gets no connection is told so, in time.
func TestPoolIsFull(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := start(t, url+"?pool_max_conns=5")
	if err := s.AddConversation(t.Context(), chat.Conversation{ID: "cnv_1", Bot: "echo", User: ann}, false); err != nil {
		t.Fatal(err)
	}
	release := hold(t, url)
	var all sync.WaitGroup
	for i := range 20 { // those that hold a connection wait for the lock, others for them
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			err := uses(s)["append"](ctx, i)
			if fault.KindOf(err) != fault.Unavailable || time.Since(began) > 10*time.Second {
				t.Errorf("error = %v after %v, want %v after 1 s", err, time.Since(began), fault.Unavailable)
			}
		})
	}
	all.Wait()
	release()
	if err := uses(s)["append"](t.Context(), 100); err != nil {
		t.Errorf("with connections again: %v", err)
	}
}

// TestTailedInOrder: who tails the revocations while many write them misses none.
func TestTailedInOrder(t *testing.T) {
	t.Parallel()
	url := database(t)
	a, b := start(t, url), start(t, url)
	const writers, each = 8, 25
	var wrote sync.WaitGroup
	for w := range writers {
		s := []*running{a, b}[w%2]
		wrote.Go(func() {
			for i := range each {
				target := revocation.Target{Kind: revocation.ByToken, Name: fmt.Sprint(w, "-", i)}
				if _, err := s.AddRevocation(t.Context(), revocation.Entry{Target: target}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		wrote.Wait()
		close(ended)
	}()
	seen, last := map[string]bool{}, int64(0)
	for over := false; ; {
		page, err := b.Revocations(t.Context(), 0, last, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			seen[e.Name], last = true, e.ID
		}
		if over && len(page) == 0 {
			break
		}
		select {
		case <-ended:
			over = true
		default:
		}
	}
	if len(seen) != writers*each {
		t.Errorf("who tailed saw %d of %d revocations", len(seen), writers*each)
	}
}

// TestURLIsNotShown: a password in the URL stands in no error.
func TestURLIsNotShown(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://me:hunter2@127.0.0.1:1/x", "postgres://me:hunter2@[::1/x", "postgres://me:hunter2@h/x?sslmode=sure"} {
		if err := open(t, url); errors.Is(err, errOpens) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error = %v, want one without the password", err)
		}
	}
}

var errOpens = errors.New("it opens")

// open tries a URL, and returns errOpens if there is nothing to complain about.
func open(t *testing.T, url string) error {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	return errOpens
}

// hold locks the conversations until release.
func hold(t *testing.T, url string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT key FROM conversations FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
