package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

// The gate's groups: what a secure session adds to a message whose user was let in, how
// long it takes when many come at once, and how often it asks.
func gateGroup() group  { return gateMeasure("gate/cached", measureCached) }
func burstGroup() group { return gateMeasure("gate/burst", measureBurst) }
func callsGroup() group { return gateMeasure("gate/calls", measureCalls) }

func gateMeasure(name string, measure func(ctx context.Context, dir string, report func(Result)) error) group {
	return group{[]string{name}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measure(ctx, dir, report) })
	}}
}

// askedStore counts how often the gate asks it.
type askedStore struct {
	*sqlite.Store
	asked atomic.Int64
}

func (s *askedStore) LeaseSecureSession(ctx context.Context, k securesession.Key, holder string, now, until time.Time) (bool, error) {
	s.asked.Add(1)
	return s.Store.LeaseSecureSession(ctx, k, holder, now, until)
}

func (s *askedStore) SecureSession(ctx context.Context, k securesession.Key, now time.Time) (securesession.Record, error) {
	s.asked.Add(1)
	return s.Store.SecureSession(ctx, k, now)
}

func (s *askedStore) SaveSecureSession(ctx context.Context, k securesession.Key, holder string, r securesession.Record, expires time.Time) (securesession.Record, error) {
	s.asked.Add(1)
	return s.Store.SaveSecureSession(ctx, k, holder, r, expires)
}

// withGate has f work with a gate that runs, on a store of its own. Who shows the token
// "good" has been let in once by then.
func withGate(ctx context.Context, dir string, c securesession.Config, guard *securesession.Guard, f func(*securesession.Gate, *askedStore) error) (err error) {
	s, err := sqlite.Open(ctx, filepath.Join(dir, "gate.db"))
	if err != nil {
		return err
	}
	store := &askedStore{Store: s}
	c.Store, c.Key, c.Node = store, secret.FromString("a key of the bench's own"), "bench"
	c.Guard = func(string) *securesession.Guard { return guard }
	gate, err := securesession.New(c)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 2)
	go func() { ended <- s.Run(running) }()
	go func() { ended <- gate.Run(running) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended, <-ended, s.Close())
	}()
	for gate.Admit(ctx, askFor("first", "good")) != nil { // until it runs
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return f(gate, store)
}

// askFor is a message with a context of a kilobyte.
func askFor(conversation, token string) securesession.Ask {
	a := securesession.Ask{Key: securesession.Key{Bot: "bench", Conversation: conversation}}
	a.Context = fmt.Appendf(nil, `{"secureTokenForUser":%q,"page":%q}`, token, strings.Repeat("x", 1000))
	return a
}

// withBank is withGate for an API that lets everybody in, after a while.
func withBank(ctx context.Context, dir string, takes time.Duration, f func(g *securesession.Gate, s *askedStore, calls *atomic.Int64) error) error {
	var calls atomic.Int64
	client, stop, err := bankClient(func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		time.Sleep(takes)
	})
	if err != nil {
		return err
	}
	defer stop()
	policy := &securesession.Policy{Type: securesession.Baas, Alias: "bank", Interval: time.Hour, Timeout: 10 * time.Second, Success: []int{200}, MaxPending: 32}
	guard := &securesession.Guard{Policy: policy, Authorizer: securesession.NewBaas(policy, client)}
	return withGate(ctx, dir, securesession.Config{}, guard, func(g *securesession.Gate, s *askedStore) error { return f(g, s, &calls) })
}

func measureCached(ctx context.Context, dir string, report func(Result)) error {
	return withBank(ctx, dir, 0, func(gate *securesession.Gate, store *askedStore, _ *atomic.Int64) error {
		ask := askFor("first", "good")
		before := store.asked.Load()
		value, _ := alternate(func() {
			if err := gate.Admit(ctx, ask); err != nil {
				panic(err)
			}
		}, func() {})
		asked := store.asked.Load() - before
		report(Result{
			"gate/cached", value / 1000, "µs", 0, 0,
			fmt.Sprintf("≤ 20 µs, 0 store reads (%d)", asked), value <= 20_000 && asked == 0,
		})
		return nil
	})
}

// measureBurst has conversations start at once while the API takes its time. Each is
// asked about once.
func measureBurst(ctx context.Context, dir string, report func(Result)) error {
	const n, takes = 1000, 200 * time.Millisecond
	if err := roomFor(3 * n); err != nil {
		return err
	}
	return withBank(ctx, dir, takes, func(gate *securesession.Gate, _ *askedStore, calls *atomic.Int64) error {
		asks := make([]securesession.Ask, n)
		for i := range asks {
			asks[i] = askFor("cnv_"+strconv.Itoa(i), "good")
		}
		before := calls.Load()
		start := time.Now()
		tickets := make([]*securesession.Ticket, n)
		for i, a := range asks {
			tickets[i] = gate.Enter(ctx, a)
		}
		for i, t := range tickets {
			if err := t.Wait(ctx); err != nil {
				return fmt.Errorf("conversation %d: %w", i, err)
			}
		}
		value, asked := float64(time.Since(start).Milliseconds()), calls.Load()-before
		report(Result{
			"gate/burst", value, "ms", float64(takes.Milliseconds()), value / float64(takes.Milliseconds()),
			fmt.Sprintf("≤ 10.00×, %d calls (%d)", n, asked), value <= 10*float64(takes.Milliseconds()) && asked == n,
		})
		return nil
	})
}

// bankClient is a client of an API.
func bankClient(answer http.HandlerFunc) (*connector.Client, func(), error) {
	api := httptest.NewServer(answer)
	_, port, _ := strings.Cut(strings.TrimPrefix(api.URL, "http://"), ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		api.Close()
		return nil, nil, err
	}
	ports := []uint16{uint16(n)}
	doc, _, err := connector.Parse(fmt.Appendf(nil, `{"Alias":"bank","Method":"POST","Endpoint":%q,"Body":{},"ResponseMapping":{},
		"RequestMapping":{"t":{"type":"requestBody","inputPath":"$.secureTokenForUser","requestBodyPath":"$.token"}}}`, api.URL+"/authorize"),
		connector.Options{Organization: "default", Insecure: true, Ports: ports})
	if err != nil {
		api.Close()
		return nil, nil, err
	}
	client, err := connector.NewClient(doc, connector.Config{
		Guard: egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: ports},
	})
	if err != nil {
		api.Close()
		return nil, nil, err
	}
	return client, func() { client.Close(); api.Close() }, nil
}
