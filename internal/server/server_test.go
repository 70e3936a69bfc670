package server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/token"
)

// load is the configuration of a node in dir, with its listeners on free ports.
func load(t *testing.T, dir, yaml string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carnet.yaml")
	text := "data: " + dir + "\nissuer: http://issuer.test\npoll_interval: 10ms\n" +
		"listen: {public: '127.0.0.1:0', gateway: '127.0.0.1:0', admin: '127.0.0.1:0'}\n" + yaml
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run opens a core and calls f in its Run.
func run(t *testing.T, c *config.Config, f func(context.Context, *Core) error) {
	t.Helper()
	runLogged(t, c, slog.New(slog.DiscardHandler), f)
}

// runLogged is run with a log that somebody reads.
func runLogged(t *testing.T, c *config.Config, log *slog.Logger, f func(context.Context, *Core) error) {
	t.Helper()
	core, err := Open(t.Context(), Options{Config: c, Stdin: bufio.NewReader(strings.NewReader("")), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := core.Run(t.Context(), func(ctx context.Context) error { return f(ctx, core) }); err != nil {
		t.Fatal(err)
	}
}

// serve runs a server until f returns. base is where each listener is, in the order
// public, gateway, operator, without those that are closed.
func serve(t *testing.T, c *config.Config, f func(core *Core, base []string)) {
	t.Helper()
	run(t, c, func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{Reload: func() (*config.Config, error) { return c, nil }})
		if err != nil {
			return err
		}
		base := addresses(s)
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		f(core, base)
		stop()
		return <-done
	})
}

// addresses is where each listener is.
func addresses(s *Server) (base []string) {
	for _, l := range s.listeners {
		base = append(base, "http://"+l.Addr().String())
	}
	return base
}

func get(t *testing.T, target, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

const accessGateway = `
gateway:
  consumers: [{username: access, jwt_secrets: [{key_set: access}]}]
  services:
  - {name: echo, url: "internal://echo", routes: [{name: all, paths: [/]}], plugins: {jwt: {}}}
`

func accessToken(ctx context.Context, core *Core) (string, error) {
	issuer, err := token.New(token.Config{
		Issuer: core.Config.Issuer, AccessTTL: time.Hour, RefreshTTL: time.Hour, SessionTTL: time.Hour,
		Keys: core.Keys, Apps: core.Apps, Families: core.store, Subjects: core.Users, Revocations: core.Revocations,
	})
	if err != nil {
		return "", err
	}
	a, err := issuer.Access(ctx, token.AccessRequest{Subject: "usr_1"})
	return a.Token, err
}

// TestDoorsApart issues on one node and admits on another that has no signing key.
func TestDoorsApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var access string
	run(t, load(t, dir, "doors: [issue]"), func(ctx context.Context, core *Core) (err error) {
		access, err = accessToken(ctx, core)
		return err
	})
	if err := os.Remove(filepath.Join(dir, "signing.key")); err != nil {
		t.Fatal(err)
	}
	serve(t, load(t, dir, "doors: [admit]"+accessGateway), func(core *Core, base []string) {
		if got := get(t, base[0]+"/x", access); got != http.StatusOK {
			t.Errorf("the gateway answers %d to a token of the other node, want 200", got)
		}
		if got := get(t, base[0]+"/x", ""); got != http.StatusUnauthorized {
			t.Errorf("the gateway answers %d without a token, want 401", got)
		}
		if _, err := core.Keys.Sign(t.Context(), "access", "", "at+jwt", []byte("{}")); err == nil {
			t.Error("a node without the issue door signed")
		}
		if len(base) != 2 {
			t.Errorf("%d listeners are open, want the gateway's and the operator's", len(base))
		}
	})
	if _, err := os.Stat(filepath.Join(dir, "signing.key")); !os.IsNotExist(err) {
		t.Errorf("the admit node made a signing key: %v", err)
	}
}

// TestFollow changes the store as another process would and sees the node follow.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, dir, accessGateway)
	serve(t, c, func(core *Core, base []string) {
		access, err := accessToken(t.Context(), core)
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, base[1]+"/x", access); got != http.StatusOK {
			t.Fatalf("the gateway answers %d, want 200", got)
		}
		signer := slices.IndexFunc(core.Keys.List("access"), func(k key.Key) bool { return k.Public.Algorithm() == "ES256" })
		kid := core.Keys.List("access")[signer].Public.ID()
		run(t, load(t, dir, accessGateway), func(ctx context.Context, other *Core) error {
			if _, _, err := other.Apps.Add(ctx, app.Registration{Name: "shop"}); err != nil {
				return err
			}
			return other.Keys.Revoke(ctx, kid)
		})
		waitFor(t, "the revoked key to be refused", func() bool { return get(t, base[1]+"/x", access) == http.StatusUnauthorized })
		waitFor(t, "the new app to be known", func() bool { return len(core.Apps.All()) == 1 })
		if !slices.ContainsFunc(core.Keys.List("access"), func(k key.Key) bool { return k.State(time.Now()) == key.Active }) {
			t.Error("no key took over")
		}
	})
}

// waitFor waits for a condition, half a minute at the most.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	a, b := running{config.Default()}, config.Default()
	if got := a.fixed(b); len(got) != 0 {
		t.Errorf("fixed() = %v for the same configuration", got)
	}
	b.Issuer, b.Tokens.AccessTTL = "http://other", 1
	b.Gateway.Services = []gateway.Service{{Name: "x"}}
	if got := a.fixed(b); !slices.Equal(got, []string{"issuer", "tokens"}) {
		t.Errorf("fixed() = %v, want issuer and tokens", got)
	}
	b = config.Default()
	b.Chat.Bots, b.Chat.Kore.Bots = config.Bots{"new": {Type: "echo"}}, map[string]bot.ID{"st-1": "new"}
	if got := a.fixed(b); len(got) != 0 {
		t.Errorf("fixed() = %v for other bots, want nothing", got)
	}
	b.Chat.Retention, b.Chat.Kore.Enabled = 1, true
	if got := a.fixed(b); !slices.Equal(got, []string{"chat.retention", "chat.kore"}) {
		t.Errorf("fixed() = %v, want chat.retention and chat.kore", got)
	}
	b = config.Default()
	b.Gateway.Cache = 0 // the default
	if got := a.fixed(b); len(got) != 0 {
		t.Errorf("fixed() = %v without a cache, want nothing", got)
	}
	b.Gateway.Cache = 1 << 20
	if got := a.fixed(b); !slices.Equal(got, []string{"gateway.cache"}) {
		t.Errorf("fixed() = %v, want gateway.cache", got)
	}
	b.Gateway.Cache, b.Gateway.Counters = 0, 1<<20
	if got := a.fixed(b); !slices.Equal(got, []string{"gateway.counters"}) {
		t.Errorf("fixed() = %v, want gateway.counters", got)
	}
}

// TestReloadRemembersWhatWaits reloads twice: the second one has no other change.
func TestReloadRemembersWhatWaits(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	next := config.Default()
	next.Gateway.Cache = 1 << 20
	r := &reloader{
		load: func() (*config.Config, error) { return next, nil }, apply: func(context.Context, *config.Config) error { return nil },
		observe: func(bool) {}, record: func(context.Context, audit.Actor, []string, error) {}, log: slog.New(slog.NewTextHandler(&log, nil)), running: running{config.Default()},
	}
	for range 2 {
		log.Reset()
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), `msg="changes that need a restart" keys=[gateway.cache]`) {
			t.Errorf("the log says:\n%s", &log)
		}
	}
}

// TestPortTaken says which setting is at fault, and leaves no listener open.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), "")
	serve(t, c, func(_ *Core, base []string) {
		taken := load(t, t.TempDir(), "")
		u, err := url.Parse(base[0])
		if err != nil {
			t.Fatal(err)
		}
		taken.Listen.Admin = u.Host
		run(t, taken, func(ctx context.Context, core *Core) error {
			_, err := NewServer(ctx, core, ServeOptions{})
			if err == nil || !strings.Contains(err.Error(), "listen.admin") {
				t.Errorf("error = %v, want one that names listen.admin", err)
			}
			return nil
		})
	})
}
