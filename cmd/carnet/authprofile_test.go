package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// What must never leave the provider and the node.
const (
	clientCanary  = "client-secret-canary-31aa"
	accessCanary  = "access-token-canary-9c4e"
	refreshCanary = "refresh-token-canary-77d0"
	codeCanary    = "code-canary-51fb"
)

// provider is an OAuth 2 authorization server with one user, who has signed in already.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	request url.Values // the last one
	revoked bool
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()
	answer := `{"token_type":"Bearer","expires_in":3600,"access_token":"` + accessCanary + `","refresh_token":"` + refreshCanary + `"}`
	switch _, password, _ := r.BasicAuth(); {
	case r.URL.Path == "/authorize":
		p.request = r.Form
		back := url.Values{"state": {r.Form.Get("state")}, "code": {codeCanary}, "iss": {p.URL}}
		http.Redirect(w, r, r.Form.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	case r.URL.Path == "/userinfo" && r.Header.Get("Authorization") == bearer(accessCanary) && !p.revoked:
		_, _ = io.WriteString(w, `{"sub":"ann"}`)
	case r.URL.Path != "/token" || password != clientCanary:
		w.WriteHeader(http.StatusUnauthorized)
	case r.Form.Get("grant_type") == "refresh_token" && r.Form.Get("refresh_token") == refreshCanary && !p.revoked:
		_, _ = io.WriteString(w, answer)
	case r.Form.Get("code") == codeCanary && challenge(r.Form.Get("code_verifier")) == p.request.Get("code_challenge"):
		_, _ = io.WriteString(w, answer)
	default:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
	}
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (p *provider) revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = true
}

// profileNode is a node whose bot echo takes messages of those who have signed in with p.
func (p *provider) profileNode(t *testing.T) *node {
	t.Helper()
	n := newNode(t, "CARNET_LOG_LEVEL=debug")
	n.secret("client.json", `{"secret":"`+clientCanary+`"}`)
	profile := filepath.Join(n.data, "bank.json")
	document := fmt.Sprintf(`{
		"Alias": "Bank", "Type": "oauth2", "Vendor": "default",
		"Configuration": {
			"RedirectUrl": "https://bank.example/chat?lang=en", "ClientId": "carnet", "ClientSecret": "srn:vault::default:secretdoc:client",
			"AuthenticationUrl": "%[1]s/authorize", "AccessUrl": "%[1]s/token", "UserInfoUrl": "%[1]s/userinfo", "Issuer": "%[1]s"
		}
	}`, p.URL)
	if err := os.WriteFile(profile, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "http://"), ":")
	n.file(`
connectors: [` + profile + `]
egress:
  allow: [127.0.0.1]
  ports: [` + port + `]
  allow_insecure: true
chat:
  bots:
    echo:
      secure_session:
        type: authProfile
        profile: bank
        interval: 1s
        error_message: "Please sign in:"
`)
	n.start()
	return n
}

// link is the address in what a customer is told next.
func (c *customer) link() string {
	c.t.Helper()
	for f := range c.frames {
		if f.Type != "secure" {
			continue
		}
		address, ok := strings.CutPrefix(f.Message, "Please sign in: ")
		if !ok || f.State != "locked" {
			c.t.Fatalf("told %+v", f)
		}
		return address
	}
	return ""
}

// traveller is a browser that goes where it is sent, with the cookies of one host.
type traveller struct {
	t       *testing.T
	cookies string
	forgets bool // the cookies: then it is another browser each time
	visited []string
}

// open follows an address until there is no redirect, or one to the page, which is not
// there.
func (b *traveller) open(address string) (status int, last string) {
	b.t.Helper()
	for {
		b.visited = append(b.visited, address)
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		if strings.Contains(address, "/auth/v1/") {
			req.Header.Set("Cookie", b.cookies)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			b.t.Fatal(err)
		}
		_ = resp.Body.Close()
		for _, c := range resp.Cookies() {
			if !b.forgets {
				b.cookies = c.Name + "=" + c.Value
			}
		}
		to := resp.Header.Get("Location")
		if to == "" || strings.HasPrefix(to, "https://bank.example/") {
			return resp.StatusCode, to
		}
		address = to
	}
}

// signsIn follows a link and is what the page finds in its address.
func (b *traveller) signsIn(link string) string {
	b.t.Helper()
	status, to := b.open(link)
	hint, ok := strings.CutPrefix(to, "https://bank.example/chat?lang=en&userToken=")
	if status != http.StatusSeeOther || !ok {
		b.t.Fatalf("the way ends with %d at %q", status, to)
	}
	return hint
}

func (c *customer) showsHint(hint string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"type":"context","id":"c","set":{"userToken":%q}}`, hint))
	c.wants("context c")
}

func TestAuthProfile(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	n := p.profileNode(t)
	joins := func() *customer {
		return n.customer(fmt.Sprintf(`{"type":"hello","token":%q,"bot":"echo"}`, n.newVisitor().token))
	}
	c, mallory, ann := joins(), joins(), &traveller{t: t}

	c.send("m0", "blocked")
	hint := ann.signsIn(c.link())
	c.wants("nack m0 credential_missing")
	c.send("m0", "blocked still") // nobody has shown anything
	c.wants("nack m0 credential_missing")
	back := ann.visited[len(ann.visited)-1]
	if status, to := ann.open(back); status != http.StatusBadRequest || to != "" {
		t.Errorf("the way back a second time: %d, %q", status, to)
	}
	c.showsHint(hint)
	c.send("m0", "at last")
	c.wants("secure secured allowed", "ack m0", "bot at last")

	// Ann's browser follows the link of mallory's conversation: that is no use to him.
	mallory.send("x0", "let me in")
	hers := ann.signsIn(mallory.link())
	mallory.send("x1", "and now?")
	mallory.wants("nack x1 credential_missing")
	mallory.showsHint(hint)
	mallory.send("x2", "with a hint that I have seen")
	mallory.wants("nack x2 unauthorized")
	c.showsHint(hers)
	c.send("m1", "with a hint of another conversation")
	c.wants("nack m1 unauthorized")
	// Another browser comes back with what the first one has begun.
	mallory.send("x3", "a link, please")
	strangers := &traveller{t: t, forgets: true}
	if status, to := strangers.open(mallory.link()); status != http.StatusBadRequest || to != "" {
		t.Errorf("another browser comes back: %d, %q", status, to)
	}

	c.showsHint(hint)
	c.send("m1", "on")
	c.wants("ack m1", "bot on")
	p.revoke()
	sent := 0
	n.wait("locked again after the interval", func() bool {
		sent++
		id := fmt.Sprint("n", sent)
		c.send(id, "on")
		for f := range c.frames {
			if f.ID == id && (f.Type == "ack" || f.Type == "nack") {
				return f.Type == "nack" && f.Error.Code == "unauthorized"
			}
		}
		return false
	})

	n.stop(syscall.SIGTERM)
	for place, text := range map[string]string{"the log": n.log.String(), "frames": c.said() + mallory.said(), "the store": n.stored()} {
		for _, private := range []string{clientCanary, accessCanary, refreshCanary, codeCanary} {
			if strings.Contains(text, private) {
				t.Errorf("%s: there is %q in it", place, private)
			}
		}
	}
	for _, private := range []string{p.request.Get("state"), p.request.Get("code_challenge"), "userToken"} {
		if private == "" || strings.Contains(n.log.String(), private) {
			t.Errorf("the log has %q", private)
		}
	}
}
