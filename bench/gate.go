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

// gateGroup measures what a secure session adds to a message whose user was let in.
func gateGroup() group {
	return group{[]string{"gate/cached"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureGate(ctx, dir, report) })
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

func measureGate(ctx context.Context, dir string, report func(Result)) (err error) {
	s, err := sqlite.Open(ctx, filepath.Join(dir, "gate.db"))
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	store, ended := &askedStore{Store: s}, make(chan error, 2)
	go func() { ended <- s.Run(running) }()
	client, stop, err := bankClient()
	if err != nil {
		cancel()
		return errors.Join(err, <-ended, s.Close())
	}
	defer stop()
	policy := &securesession.Policy{Type: securesession.Baas, Alias: "bank", Interval: time.Hour, Timeout: time.Second, Success: []int{200}, MaxPending: 32}
	guard := &securesession.Guard{Policy: policy, Authorizer: securesession.NewBaas(policy, client)}
	gate, err := securesession.New(securesession.Config{
		Store: store, Key: secret.FromString("a key of the bench's own"), Node: "bench",
		Guard: func(string) *securesession.Guard { return guard },
	})
	if err != nil {
		cancel()
		return errors.Join(err, <-ended, s.Close())
	}
	go func() { ended <- gate.Run(running) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended, <-ended, s.Close())
	}()
	ask := securesession.Ask{Key: securesession.Key{Bot: "bench", Conversation: "cnv_1"}}
	ask.Context = fmt.Appendf(nil, `{"secureTokenForUser":"t","page":%q}`, strings.Repeat("x", 1000))
	for gate.Admit(ctx, ask) != nil { // until it runs
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(10 * time.Millisecond)
	}
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
}

// bankClient is a client of an API that lets everybody in.
func bankClient() (*connector.Client, func(), error) {
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
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
