package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/observe"
)

// bankAPI answers by its paths: who a visitor is, who may sign in, and who may go on.
func bankAPI(w http.ResponseWriter, r *http.Request) {
	var in struct{ Sid, Login, Password, Subject string }
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &in)
	allowed := map[string]bool{
		"/who": in.Sid == "of-ann", "/login": in.Login == "ann" && in.Password == "correct horse", "/still": in.Subject == "c-1",
	}
	switch {
	case r.URL.Path == "/down":
		w.WriteHeader(http.StatusBadGateway)
	case !allowed[r.URL.Path]:
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, _ = io.WriteString(w, `{"customer":"c-1","roles":["chat"]}`)
}

// connectorFile is the document of a connector of the API.
func connectorFile(alias, endpoint string, members string, body ...string) string {
	var entries []string
	for i := 0; i < len(body); i += 2 {
		entries = append(entries, fmt.Sprintf(`"e%d":{"type":"requestBody","inputPath":%q,"requestBodyPath":%q,"optional":true}`, i, body[i], body[i+1]))
	}
	return fmt.Sprintf(`{"Alias":%q,"Method":"POST","Endpoint":%q,"Body":{},"RequestMapping":{%s},"ResponseMapping":{
		"c":{"type":"responseBody","responseBodyPath":"$.customer","outputPath":"$.identity"},
		"s":{"type":"responseBody","responseBodyPath":"$.customer","outputPath":"$.subject"},
		"r":{"type":"responseBody","responseBodyPath":"$.roles","outputPath":"$.scopes"}}%s}`, alias, endpoint, strings.Join(entries, ","), members)
}

const lockout = `{"id":"g1","evaluations":[{"key":"statusCode","value":401,"comparison":"EQUALS"}],
	"identifiers":["customerReference"],"steps":[{"restrictOnFail":false,"ttl":60},{"restrictOnFail":true,"ttl":3600}]}`

// withAPI runs a node that has the connectors of the API, and reloads when files change.
func withAPI(t *testing.T, yaml string, f func(n apiNode)) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(bankAPI))
	t.Cleanup(api.Close)
	n := apiNode{t: t, dir: t.TempDir(), api: api.URL, log: &logBuffer{}}
	u, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	n.write("apis/who.json", connectorFile("Who", api.URL+"/who", `,"RestrictionGroup":"g1"`, "$.cookie.sid", "$.sid", "$.identity", "$.identity"))
	n.write("apis/login.json", connectorFile("login", api.URL+"/login", "", "$.username", "$.login", "$.password", "$.password"))
	n.write("apis/still.json", connectorFile("still", api.URL+"/still", "", "$.subject", "$.subject"))
	n.write("apis/group.json", lockout)
	n.head = "data: " + t.TempDir() + "\npoll_interval: 10ms\nlisten: {public: '127.0.0.1:0', gateway: '127.0.0.1:0', admin: '127.0.0.1:0'}\n" +
		"connectors: [apis]\negress: {allow: [127.0.0.0/8], ports: [" + u.Port() + "], allow_insecure: true}\n"
	n.write("carnet.yaml", n.head+yaml)
	read := func() (*config.Config, error) {
		return config.Load(config.Options{Path: filepath.Join(n.dir, "carnet.yaml")})
	}
	c, err := read()
	if err != nil {
		t.Fatal(err)
	}
	runLogged(t, c, slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(ctx context.Context, core *Core) error {
		a, _, err := core.Apps.Add(ctx, app.Registration{Name: "bank", Identity: app.Connector, Connector: "WHO", Cookies: []string{"sid"}})
		if err != nil {
			return err
		}
		s, err := NewServer(ctx, core, ServeOptions{ConfigPath: filepath.Join(n.dir, "carnet.yaml"), Reload: read})
		if err != nil {
			return err
		}
		n.app, n.core, n.server, n.base = a.ID, core, s, addresses(s)
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		f(n)
		stop()
		return <-done
	})
}

type apiNode struct {
	t      *testing.T
	dir    string
	head   string // of the configuration
	api    string
	log    *logBuffer
	app    app.ID
	core   *Core
	server *Server
	base   []string
}

func (n apiNode) write(name, text string) {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		n.t.Fatal(err)
	}
	whole := path + ".new" // the node looks at any time
	if err := errors.Join(os.WriteFile(whole, []byte(text), 0o600), os.Rename(whole, path)); err != nil {
		n.t.Fatal(err)
	}
}

// post sends a form and returns the status and the answer.
func (n apiNode) post(path string, form url.Values, cookie string) (int, map[string]any) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.base[0]+path, strings.NewReader(form.Encode()))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer
}

// sts asks for a session of the app.
func (n apiNode) sts(identity, cookie string) int {
	status, _ := n.post("/sts", url.Values{"clientId": {string(n.app)}, "identity": {identity}}, cookie)
	return status
}

// TestConnectorsInForce changes the file of a connector, and of a group, under a node.
func TestConnectorsInForce(t *testing.T) {
	t.Parallel()
	withAPI(t, "limits: {sts_per_ip: none, sts_per_app: none, sts_per_identity: none}\n", func(n apiNode) {
		if got := n.sts("ann", "sid=of-ann"); got != http.StatusOK {
			t.Fatalf("the API's visitor gets %d", got)
		}
		for i, want := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusTooManyRequests} {
			if got := n.sts("eve", "sid=of-eve"); got != want {
				t.Errorf("try %d of another gets %d, want %d", i, got, want)
			}
		}
		groups, err := n.core.Restrictions()
		if err != nil {
			t.Fatal(err)
		}
		shut, err := groups.Active(t.Context(), "g1", "", 10)
		if err != nil || len(shut) != 1 || shut[0].Step != 2 {
			t.Fatalf("shut out: %+v, %v", shut, err)
		}
		if err := groups.Clear(t.Context(), "g1", shut[0].Actor); err != nil {
			t.Fatal(err)
		}
		if got := n.sts("eve", "sid=of-eve"); got != http.StatusForbidden {
			t.Errorf("let in again, another gets %d", got)
		}

		n.write("apis/who.json", connectorFile("Who", n.api+"/down", "", "$.cookie.sid", "$.sid"))
		waitFor(t, "the connector to be another", func() bool { return n.sts("ann", "sid=of-ann") == http.StatusServiceUnavailable })
		n.write("apis/who.json", `{"Alias":"Who","Method":"TRACE"}`)
		waitFor(t, "the bad file to be told of", func() bool { return strings.Contains(n.log.String(), "/Method: must be one of") })
		if got := n.sts("ann", "sid=of-ann"); got != http.StatusServiceUnavailable {
			t.Errorf("after a bad file it answers %d: the old one is not in force", got)
		}
		n.write("apis/who.json", connectorFile("Who", n.api+"/who", "", "$.cookie.sid", "$.sid"))
		waitFor(t, "the connector to be right again", func() bool { return n.sts("ann", "sid=of-ann") == http.StatusOK })
		if strings.Contains(n.log.String(), "changes that need a restart") {
			t.Errorf("the log asks for a restart:\n%s", n.log)
		}

		if err := os.Remove(filepath.Join(n.dir, "apis/who.json")); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the connector to be gone", func() bool { return n.sts("ann", "sid=of-ann") == http.StatusServiceUnavailable })
		waitFor(t, "a warning", func() bool { return strings.Contains(n.log.String(), "an app's connector is not there") })

		yaml, err := os.ReadFile(filepath.Join(n.dir, "carnet.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		n.write("more/who.json", connectorFile("Who", n.api+"/who", "", "$.cookie.sid", "$.sid"))
		keys := func() error { return n.core.keyGuard.Check("keys.example", netip.MustParseAddrPort("10.1.2.3:8443")) }
		if keys() == nil {
			t.Error("apps' keys are fetched from where nothing may be called")
		}
		n.write("carnet.yaml", strings.NewReplacer("[apis]", "[apis, more]", "127.0.0.0/8]", "127.0.0.0/8, 10.0.0.0/8]").Replace(string(yaml)))
		waitFor(t, "the new directory to be read", func() bool { return n.sts("ann", "sid=of-ann") == http.StatusOK })
		if err := keys(); err != nil {
			t.Errorf("apps' keys may lie there now: %v", err)
		}
		n.write("more/who.json", connectorFile("Who", n.api+"/down", "", "$.cookie.sid", "$.sid"))
		waitFor(t, "the new directory to be watched", func() bool { return n.sts("ann", "sid=of-ann") == http.StatusServiceUnavailable })
		if strings.Contains(n.log.String(), "changes that need a restart") {
			t.Errorf("the log asks for a restart:\n%s", n.log)
		}
		text := scrapeOf(t, n.base[2])
		for _, line := range []string{
			`carnet_securesession_authorizer_requests_total{class="4xx",connector="Who"} 3`,
			`carnet_securesession_authorizer_requests_total{class="restricted",connector="Who"} 1`,
			`carnet_securesession_breaker_state{connector="Who"} 0`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("the metrics lack %s", line)
			}
		}
	})
}

// scrapeOf is what an operator's listener shows of metrics.
func scrapeOf(t *testing.T, base string) string {
	t.Helper()
	resp, err := http.Get(base + "/metrics") //nolint:noctx // the node outlives it
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestConnectorsStay keeps the client whose document has not changed, and what it knows of
// its API.
func TestConnectorsStay(t *testing.T) {
	t.Parallel()
	withAPI(t, "", func(n apiNode) {
		c, err := newConnectors(n.core, observe.NewMetrics())
		if err != nil {
			t.Fatal(err)
		}
		login, _ := c.Connector("LOGIN")
		who, _ := c.Connector("who")
		n.write("apis/who.json", connectorFile("Who", n.api+"/other", `,"RestrictionGroup":"g1"`))
		reload := func() {
			t.Helper()
			next, err := c.prepare(n.core.Config)
			if err != nil {
				t.Fatal(err)
			}
			c.use(next)
		}
		reload()
		if now, ok := c.Connector("login"); !ok || now != login {
			t.Error("a client whose document stays is another")
		}
		if now, ok := c.Connector("who"); !ok || now == who {
			t.Error("a client whose document has changed is the same")
		}
		n.write("apis/group.json", strings.Replace(lockout, "3600", "7200", 1))
		reload()
		if now, _ := c.Connector("login"); now == login {
			t.Error("a client asks the groups that were")
		}
		if _, ok := c.Connector("nobody"); ok {
			t.Error("there is a connector of any name")
		}
	})
}

// TestLoginByConnector signs in with the operator's own directory.
func TestLoginByConnector(t *testing.T) {
	t.Parallel()
	withAPI(t, "login: {connector: login, refresh: still}\nlimits: {login_per_user: 4/m}\n", func(n apiNode) {
		in := func(name, password string) (int, map[string]any) {
			return n.post("/login", url.Values{"username": {name}, "password": {password}, "scope": {"chat"}}, "")
		}
		status, pair := in("ann", "correct horse")
		access, _ := pair["access_token"].(string)
		if status != http.StatusOK || pair["scope"] != "chat" || access == "" {
			t.Fatalf("sign-in: %d %v", status, pair)
		}
		var claims struct{ Sub string }
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
		if err := errors.Join(err, json.Unmarshal(payload, &claims)); err != nil || claims.Sub != "ext_c-1" {
			t.Errorf("sub = %q, %v", claims.Sub, err)
		}
		status, next := n.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(pair["refresh_token"])}}, "")
		if status != http.StatusOK || next["access_token"] == "" {
			t.Errorf("refresh: %d %v", status, next)
		}
		for i, want := range []int{401, 401, 401, 401, 429} {
			if status, refusal := in("eve", "wrong horse"); status != want || want == 401 && refusal["error"] != "invalid_grant" {
				t.Errorf("try %d: %d %v, want %d", i, status, refusal, want)
			}
		}
		n.write("apis/still.json", connectorFile("still", n.api+"/nobody", ""))
		waitFor(t, "the connector to be another", func() bool { return strings.Contains(n.log.String(), "configuration reloaded") })
		status, refusal := n.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(next["refresh_token"])}}, "")
		if status != http.StatusBadRequest || refusal["error"] != "invalid_grant" {
			t.Errorf("who has left goes on: %d %v", status, refusal)
		}
		for _, word := range []string{"correct horse", "wrong horse", access, "correct+horse"} {
			if strings.Contains(n.log.String(), word) {
				t.Errorf("the log has %q", word)
			}
		}
	})
}
