package gateway

import (
	"context"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
)

// slow is a registry whose store hangs: each question takes two seconds, unless who
// asks has gone before.
type slow struct {
	*directory
	mu    sync.Mutex
	hangs bool
}

func (s *slow) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = true
	s.generation.Add(1)
}

func (s *slow) Find(ctx context.Context, key string) (*consumer.Credential, error) {
	s.mu.Lock()
	hangs := s.hangs
	s.mu.Unlock()
	if !hangs {
		return s.directory.Find(ctx, key)
	}
	if ctx.Err() == nil {
		time.Sleep(2 * time.Second) // of the bubble's clock
	}
	return nil, fault.New(fault.Unavailable, "the store hangs")
}

// A store that hangs holds up neither what expires nor what it is not asked about.
func TestRunWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, list := &slow{directory: newDirectory()}, &denials{}
		store.put(storedSecret("stored", appSecret, "legacy"))
		o := cached(Options{Config: oneRoute("http://h", Plugins{JWT: &JWT{}}), Registry: store, Revocations: list})
		g := must(New(t.Context(), o))
		began := time.Now()
		ended := make(chan time.Duration)
		open := func(token string) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/demo?jwt="+token, nil)
			d := g.decide(r, time.Now())
			if d.refusal != nil {
				t.Fatal(d.refusal.reason)
			}
			c, peer := net.Pipe()
			s := &socket{Conn: c, pass: newPass(&flight{route: d.candidate.route, request: &d.request}), left: func() {}}
			g.sockets.add(s)
			go func() {
				_, _ = peer.Read(make([]byte, 1))
				ended <- time.Since(began)
				_ = peer.Close()
			}()
		}
		for range 100 {
			open(hs(appSecret, "stored"))
		}
		open(hs(appSecret, "app-key", object{"exp": began.Add(time.Minute).Unix()}))
		open(hs(appSecret, "app-key", object{"jti": "1"}))
		store.hang()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		list.change(func(t revocation.Token) bool { return t.ID == "1" })
		if took := <-ended; took > 5*time.Second {
			t.Errorf("what is revoked ends after %v", took)
		}
		if took := <-ended; took != time.Minute {
			t.Errorf("what expires in a minute ends after %v", took)
		}
		cancel()
		for range 100 {
			<-ended
		}
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

// waiting is a registry that tells when it is asked, and answers when it may.
type waiting struct {
	*directory
	now, answer chan struct{}
}

func (a *waiting) Find(ctx context.Context, key string) (*consumer.Credential, error) {
	a.now <- struct{}{}
	<-a.answer
	return a.directory.Find(ctx, key)
}

// What is only looked at to warn of it holds up no reload.
func TestReloadDoesNotWaitForTheRegistry(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("http://h", Plugins{})
	store := &waiting{newDirectory(), make(chan struct{}), make(chan struct{})}
	g := must(New(t.Context(), Options{Config: cfg, Registry: store}))
	cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{
		Name: "new", Paths: []string{"/new"}, Plugins: Plugins{JWT: &JWT{IssuerPrefixes: []string{"nobody"}}},
	})
	done := make(chan error, 1)
	go func() { done <- g.Reload(t.Context(), cfg) }()
	<-store.now
	if d := g.decide(httptest.NewRequestWithContext(t.Context(), "GET", "/new", nil), now); d.routeName() != "new" {
		t.Errorf("the registry is asked, and the route %q in force is not the new one", d.routeName())
	}
	if !g.mu.TryLock() {
		t.Error("the registry is asked, and the next reload has to wait")
	} else {
		g.mu.Unlock()
	}
	close(store.answer)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
