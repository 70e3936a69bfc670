package secretstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// round answers requests without a socket, which synctest needs.
type round func(path string) (status int, body string, err error)

func (f round) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body, err := f(strings.TrimPrefix(r.URL.Path, "/v1/"))
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// While nobody asks for a secret, the login stays alive.
func TestRunRenews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var logged bytes.Buffer
		ends := time.Now().Add(time.Minute)
		calls, down := map[string]int{}, false
		r := newResolver(t, Config{
			Organization: "acme", Providers: []string{Vault}, Environ: []string{"CARNET_SECRET_ACME__TOKEN=t"},
			Vault: &VaultConfig{Address: "https://vault.example", Mount: "secret", Path: "carnet", Login: LoginToken, Secret: "srn:vault::acme:secret:token"},
			Log:   slog.New(slog.NewTextHandler(&logged, nil)),
		})
		r.providers[Vault].(*vault).client.Transport = round(func(path string) (int, string, error) {
			mu.Lock()
			defer mu.Unlock()
			calls[path]++
			switch {
			case down:
				return 0, "", errors.New("connection refused")
			case time.Now().After(ends):
				return 403, `{"errors":["permission denied"]}`, nil
			case path == "auth/token/renew-self":
				ends = time.Now().Add(time.Minute)
				return 200, `{"auth":{"client_token":"t","lease_duration":60,"renewable":true}}`, nil
			case path == "auth/token/lookup-self":
				return 200, `{"data":{"ttl":60,"renewable":true}}`, nil
			}
			return 200, `{"data":{"data":{"value":"v"},"metadata":{"version":1}}}`, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(time.Hour)
		if len(calls) > 0 {
			t.Errorf("calls %v before anybody asked", calls)
		}
		mu.Lock()
		ends = time.Now().Add(time.Minute)
		mu.Unlock()
		want(t, r, "v")
		time.Sleep(time.Hour)
		want(t, r, "v")
		mu.Lock()
		if calls["auth/token/lookup-self"] != 1 || calls["auth/token/renew-self"] < 60 || calls["auth/token/renew-self"] > 120 {
			t.Errorf("calls %v, want one login that was kept", calls)
		}
		down = true
		mu.Unlock()
		time.Sleep(time.Hour)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
		if got := logged.String(); strings.Count(got, "cannot be renewed") != 1 {
			t.Errorf("logged %q, want one warning", got)
		}
	})
}

func TestRunWithoutVault(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := newResolver(t, Config{Organization: "acme"}).Run(ctx); err != nil {
		t.Errorf("Run() = %v", err)
	}
}
