package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// apart is a cluster in one process whose machines' clocks are minutes apart.
type apart struct {
	slow, right, fast *apartNode
	bank, bot         atomic.Int64 // calls
}

type apartNode struct {
	*Server
	public, gateway string
}

func (c *apart) all() []*apartNode { return []*apartNode{c.slow, c.right, c.fast} }

// limitedRoutes is how many routes count their requests on all nodes together.
const limitedRoutes = 20

// minutesApart starts the cluster; it ends with the test.
func minutesApart(t *testing.T) *apart {
	t.Helper()
	c := &apart{}
	bank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.bank.Add(1)
		bankAPI(w, r)
	}))
	t.Cleanup(bank.Close)
	called := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.bot.Add(1)
		pause(r.Context(), 1500*time.Millisecond) // all nodes have looked for calls to make meanwhile
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(called.Close)
	at, err := url.Parse(bank.URL)
	if err != nil {
		t.Fatal(err)
	}
	store, err := pgtest.Start(t).Database("")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"signing.key": randomText(keyBytes), "data.key": randomText(keyBytes), "default/bot": randomText(keyBytes),
		"still.json": connectorFile("still", bank.URL+"/still", "", "$.subject", "$.subject"),
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var limited strings.Builder
	for i := range limitedRoutes {
		fmt.Fprintf(&limited, "    - {name: limited%02[1]d, paths: [/limited/%02[1]d], plugins: {rate-limiting: {year: 4, limit_by: consumer, policy: redis}}}\n", i)
	}
	yaml := fmt.Sprintf(`
store: %s
bus: %s
master_keys: {signing: "file:%[3]s/signing.key", data: "file:%[3]s/data.key"}
secrets: {dir: %[3]s}
connectors: [%[3]s/still.json]
egress: {allow: [127.0.0.0/8], ports: [%[4]s], allow_insecure: true}
chat:
  bots:
    slow: {type: webhook, url: %[5]q, welcome: none, hooks: [user.offline], secret: 'srn:vault::default:secret:bot'}
    echo: {welcome: none, secure_session: {connector: still, interval: 2m}}
gateway:
  consumers: [{username: access, jwt_secrets: [{key_set: access}]}]
  services:
  - name: echo
    url: internal://echo
    plugins: {jwt: {}}
    routes:
    - {name: all, paths: [/]}
%[6]s`, store, redistest.Start(t).URL(), dir, at.Port(), called.URL, limited.String())
	c.right = startApart(t, yaml, 0)
	c.slow, c.fast = startApart(t, yaml, -3*time.Minute), startApart(t, yaml, 3*time.Minute)
	return c
}

// startApart starts a node whose machine's clock is ahead.
func startApart(t *testing.T, yaml string, ahead time.Duration) *apartNode {
	t.Helper()
	cfg := load(t, t.TempDir(), yaml)
	core, err := Open(t.Context(), Options{
		Config: cfg, Stdin: bufio.NewReader(strings.NewReader("")), Log: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.Now().Add(ahead) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	n, up := &apartNode{}, make(chan struct{})
	ready := sync.OnceFunc(func() { close(up) })
	var running sync.WaitGroup
	running.Go(func() {
		defer ready()
		err := core.Run(ctx, func(ctx context.Context) error {
			s, err := NewServer(ctx, core, ServeOptions{Ready: ready})
			if err != nil {
				return err
			}
			base := addresses(s)
			n.Server, n.public, n.gateway = s, base[0], base[1]
			return s.Run(ctx)
		})
		if err != nil {
			t.Errorf("the node that is ahead by %v: %v", ahead, err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	if <-up; n.Server == nil {
		t.FailNow()
	}
	return n
}

// asks sends a form and returns the answer.
func (n *apartNode) asks(t *testing.T, path string, form url.Values) (answer map[string]any) {
	t.Helper()
	resp, err := http.PostForm(n.public+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v, %v", path, resp.StatusCode, answer, err)
	}
	return answer
}

// TestMinutesApart has nodes whose machines' clocks are minutes apart do what they do by
// the clock. Nobody can tell.
func TestMinutesApart(t *testing.T) {
	t.Parallel()
	c := minutesApart(t)
	const within = time.Minute // on a busy machine; the clocks are three apart
	near := func(t *testing.T, what string, got, want time.Time) {
		t.Helper()
		if wrong := got.Sub(want).Abs(); wrong > within {
			t.Errorf("%s is wrong by %v", what, wrong)
		}
	}
	if _, err := c.right.core.Users.Add(t.Context(), "ann", secret.FromString("correct horse battery"), []string{"chat"}); err != nil {
		t.Fatal(err)
	}

	t.Run("tokens, and that they are taken back", func(t *testing.T) {
		login := url.Values{"username": {"ann"}, "password": {"correct horse battery"}}
		refreshed := ""
		for _, issuer := range c.all() {
			answer := issuer.asks(t, "/login", login)
			text, _ := answer["access_token"].(string)
			refreshed, _ = answer["refresh_token"].(string)
			var token jose.Unverified
			var claims jose.Object
			if err := errors.Join(token.Parse(text), token.Claims(&claims)); err != nil {
				t.Fatal(err)
			}
			issued, _ := claims.Lookup("iat").Date()
			near(t, "iat", time.UnixMilli(issued), time.Now())
			for _, n := range c.all() {
				if got := get(t, n.gateway+"/x", text); got != http.StatusOK {
					t.Errorf("a token of another node is answered with %d", got)
				}
			}
		}
		for _, n := range []*apartNode{c.slow, c.fast, c.right} {
			refreshed, _ = n.asks(t, "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshed}})["refresh_token"].(string)
		}
		// What the fastest clock has issued last the slowest takes back.
		text, _ := c.fast.asks(t, "/login", login)["access_token"].(string)
		ann, err := c.slow.core.Users.ByName(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.slow.core.Revocations.Add(t.Context(), revocation.Draft{Target: revocation.Target{
			Kind: revocation.BySubject, Issuer: c.slow.core.Config.Issuer, Name: string(ann.ID),
		}}); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.all() {
			waitFor(t, "a token that was taken back to be refused", func() bool { return get(t, n.gateway+"/x", text) == http.StatusUnauthorized })
		}
	})

	t.Run("keys that are published before they sign", func(t *testing.T) {
		for set, n := range map[key.SetName]*apartNode{"access": c.slow, "sts": c.fast} {
			if err := n.core.Keys.Rotate(t.Context(), set, key.RotateOptions{}); err != nil {
				t.Fatal(err)
			}
			var newest time.Time
			for _, k := range n.core.Keys.List(set) {
				if k.Active.After(newest) {
					newest = k.Active
				}
			}
			near(t, "when the new key begins to sign", newest, time.Now().Add(n.core.Config.Keys[set].PublishAhead.Std()))
		}
	})

	t.Run("a call of a bot, and where its user is", func(t *testing.T) {
		w := make(watcher, 100)
		s, err := c.slow.carrier.engine.Open(t.Context(), chat.Hello{User: chat.User{Issuer: "i", Subject: "ann"}, Bot: "slow"}, w)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.Ready()
		s.Send("m1", json.RawMessage(`"hi"`))
		w.wants(t, "ack m1")
		waitFor(t, "the bot's answer", func() bool {
			waiting, err := c.right.core.store.WaitingTurns(t.Context())
			return err == nil && len(waiting) == 0
		})
		if calls := c.bot.Load(); calls != 1 {
			t.Errorf("the bot was called %d times", calls)
		}
		for _, n := range c.all() {
			gone, err := n.core.store.Lapse(t.Context(), "slow", bot.Offline, 30*time.Second, n.core.now(), 10)
			if gone != 0 || err != nil {
				t.Errorf("a user who is there is taken for gone: %d, %v", gone, err)
			}
		}
	})

	t.Run("a secure session that goes from node to node", func(t *testing.T) {
		ann := chat.Hello{User: chat.User{Issuer: "i", Subject: "ann"}, Bot: "echo", Context: json.RawMessage(`{"subject":"c-1"}`)}
		for i, n := range []*apartNode{c.slow, c.fast, c.right} {
			w := make(watcher, 100)
			s, err := n.carrier.engine.Open(t.Context(), ann, w)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Ready()
			s.Send(fmt.Sprint("m", i), json.RawMessage(`"hi"`))
			waitFor(t, "an ack", func() bool { return strings.HasPrefix(<-w, "ack ") })
			ann.Context = nil
		}
		if calls := c.bank.Load(); calls != 1 {
			t.Errorf("the authorizer was asked %d times for one interval", calls)
		}
	})

	// A node counts alone for a second if Redis was slow, as it may be on a busy machine.
	t.Run("limits that are counted together", func(t *testing.T) {
		text, _ := c.right.asks(t, "/login", url.Values{"username": {"ann"}, "password": {"correct horse battery"}})["access_token"].(string)
		passed := 0
		for try := range limitedRoutes {
			passed = 0
			for range 4 {
				for _, n := range c.all() {
					if get(t, fmt.Sprintf("%s/limited/%02d", n.gateway, try), text) == http.StatusOK {
						passed++
					}
				}
			}
			if passed == 4 {
				return
			}
			pause(t.Context(), time.Second)
		}
		t.Errorf("%d requests passed, want the limit, 4", passed)
	})
}
