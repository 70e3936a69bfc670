package authprofile

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/securesession"
)

// shelf is a store in memory.
type shelf struct {
	mu      sync.Mutex
	signIns map[[32]byte]SignIn
	grants  map[securesession.Key]Grant
	broken  error
}

func (s *shelf) AddSignIn(_ context.Context, n SignIn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signIns[n.State] = n
	return s.broken
}

func (s *shelf) TakeSignIn(_ context.Context, state [32]byte, now time.Time) (SignIn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.signIns[state]
	if !ok || !now.Before(n.Expires) {
		return SignIn{}, fault.New(fault.NotFound, "no sign-in")
	}
	delete(s.signIns, state)
	return n, s.broken
}

func (s *shelf) PutGrant(_ context.Context, k securesession.Key, g Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Version = s.grants[k].Version + 1
	s.grants[k] = g
	return s.broken
}

func (s *shelf) Grant(_ context.Context, k securesession.Key, now time.Time) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return Grant{}, s.broken
	}
	g, ok := s.grants[k]
	if !ok || !now.Before(g.Expires) {
		return Grant{}, fault.New(fault.NotFound, "no grant")
	}
	return g, nil
}

func (s *shelf) SwapGrant(_ context.Context, k securesession.Key, g Grant) (Grant, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil || s.grants[k].Version != g.Version {
		return Grant{}, false, s.broken
	}
	g.Version++
	s.grants[k] = g
	return g, true, nil
}

func (s *shelf) DeleteGrant(_ context.Context, k securesession.Key, version int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := s.grants[k]; !ok || g.Version != version {
		return false, s.broken
	}
	delete(s.grants, k)
	return true, s.broken
}

// issuer is a fake authorization server. Its users always consent.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	codes   map[string]url.Values // code → the authorization request
	access  map[string]bool       // tokens that count
	refresh map[string]bool
	serial  int
	calls   []string
	forms   []url.Values

	basic   bool   // wants the client's secret in the header
	lasts   string // expires_in as JSON; empty: left out
	noneNew bool   // refreshes keep the refresh token
	bare    bool   // gives no refresh token
	answer  http.HandlerFunc
	idToken func(request url.Values) string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{codes: map[string]url.Values{}, access: map[string]bool{}, refresh: map[string]bool{}, lasts: "60", basic: true}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

const clientSecret = "s3cret with % and :" //nolint:gosec // of a test

// signIn is what a browser does at the authorization endpoint: it is sent back with a code.
func (i *issuer) signIn(t *testing.T, to string) Return {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, i.URL+"/authorize?") {
		t.Fatalf("sent to %q, %v", to, err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != "carnet" || q.Get("tenant") != "acme" {
		t.Fatalf("authorization request %q", q)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serial++
	code := fmt.Sprint("code-", i.serial)
	i.codes[code] = q
	return Return{Profile: "bank", State: q.Get("state"), Code: code, Issuer: i.URL, Browser: "browser"}
}

// revoke makes all tokens worthless.
func (i *issuer) revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.access)
	clear(i.refresh)
}

// expire makes access tokens worthless.
func (i *issuer) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.access)
}

func (i *issuer) set(edit func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	edit(i)
}

// asked lists the calls since it was asked last.
func (i *issuer) asked() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := strings.Join(i.calls, " ")
	i.calls = nil
	return s
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	i.mu.Lock()
	i.calls = append(i.calls, strings.TrimSpace(strings.TrimPrefix(r.URL.Path, "/")+" "+r.PostForm.Get("grant_type")))
	i.forms = append(i.forms, r.PostForm)
	answer := i.answer
	i.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	i.serve(w, r)
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/token":
		i.token(w, r)
	case "/userinfo":
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !i.access[token] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"sub":"ann"}`))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":"ann@bank.example is on a list"}`, code)
	}
	id, password := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if i.basic {
		u, p, _ := r.BasicAuth()
		id, _ = url.QueryUnescape(u)
		password, _ = url.QueryUnescape(p)
	}
	if id != "carnet" || password != clientSecret {
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	answer := map[string]any{"token_type": "bearer"}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		code := r.PostForm.Get("code")
		request, ok := i.codes[code]
		delete(i.codes, code)
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		challenged := request.Get("code_challenge") != ""
		proven := request.Get("code_challenge_method") == "S256" && base64.RawURLEncoding.EncodeToString(sum[:]) == request.Get("code_challenge")
		if !ok || challenged && !proven || r.PostForm.Get("redirect_uri") != request.Get("redirect_uri") {
			refuse(http.StatusBadRequest, "invalid_grant")
			return
		}
		if i.idToken != nil {
			answer["id_token"] = i.idToken(request)
		}
		i.give(answer, true)
	case "refresh_token":
		old := r.PostForm.Get("refresh_token")
		if !i.refresh[old] {
			refuse(http.StatusBadRequest, "invalid_grant")
			return
		}
		if !i.noneNew {
			delete(i.refresh, old)
		}
		i.give(answer, !i.noneNew)
	default:
		refuse(http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (i *issuer) give(answer map[string]any, refresh bool) {
	i.serial++
	access := fmt.Sprintf("ACCESS-%d", i.serial)
	i.access[access] = true
	answer["access_token"] = access
	if i.lasts != "" {
		answer["expires_in"] = json.RawMessage(i.lasts)
	}
	if refresh && !i.bare {
		token := fmt.Sprintf("REFRESH-%d", i.serial)
		i.refresh[token] = true
		answer["refresh_token"] = token
	}
}

// vault has the client's secret, and its version once somebody has asked for it.
type vault struct {
	mu             sync.Mutex
	latest, looked string
}

func (v *vault) Version(string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.looked
}

func (v *vault) rotate(version string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latest = version
}

func (v *vault) Resolve(_ context.Context, ref string) (secret.Bytes, error) {
	if ref != "srn:vault::acme:secretdoc:client" {
		return secret.Bytes{}, fault.New(fault.NotFound, "no such secret")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looked = v.latest
	return secret.FromString(fmt.Sprintf(`{"secret":%q}`, clientSecret)), nil
}

var loopback = egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// desk is a broker, what it talks to, and a clock that a test can move.
type desk struct {
	*Broker
	issuer  *issuer
	shelf   *shelf
	vault   *vault
	profile *Profile
	policy  *securesession.Policy

	mu  sync.Mutex
	now time.Time
}

// newDesk has one profile, "bank", which edit may change.
func newDesk(t *testing.T, edit func(*Profile)) *desk {
	t.Helper()
	d := &desk{
		issuer: newIssuer(t), shelf: &shelf{signIns: map[[32]byte]SignIn{}, grants: map[securesession.Key]Grant{}},
		vault: &vault{}, now: time.Unix(1_800_000_000, 0), policy: &securesession.Policy{Alias: "Bank", Success: []int{200}, Timeout: time.Minute},
	}
	d.profile = &Profile{
		Alias: "Bank", Return: "https://bank.example/chat?lang=en", Client: "carnet", Secret: "srn:vault::acme:secretdoc:client",
		Authorize: d.issuer.URL + "/authorize?tenant=acme", Token: d.issuer.URL + "/token", Lifetime: time.Hour,
		Issuer: d.issuer.URL, UserInfo: d.issuer.URL + "/userinfo",
	}
	if edit != nil {
		edit(d.profile)
	}
	box, err := seal.NewBox(secret.New(make([]byte, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	d.Broker, err = New(Config{
		Profiles: map[string]*Profile{"bank": d.profile, "other": d.profile}, Base: "https://carnet.example", Store: d.shelf,
		Box: box, Secrets: d.vault, Guard: loopback, Clock: d.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) pass(span time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(span)
}

func (d *desk) authorizer(t *testing.T) *Authorizer {
	t.Helper()
	a, err := d.Authorizer(d.policy, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var (
	ann     = securesession.Key{Bot: "teller", Conversation: "cnv_ann"}
	mallory = securesession.Key{Bot: "teller", Conversation: "cnv_mallory"}
)

// sealed is what stands in a link.
func (d *desk) sealed(t *testing.T, k securesession.Key) string {
	t.Helper()
	address, err := d.Invite("bank", k)
	if err != nil {
		t.Fatal(err)
	}
	in, ok := strings.CutPrefix(address, "https://carnet.example/auth/v1/start?for=")
	if !ok {
		t.Fatalf("Invite() = %q", address)
	}
	return in
}

func (d *desk) start(t *testing.T, k securesession.Key, browser string) (to string) {
	t.Helper()
	to, err := d.Start(t.Context(), d.sealed(t, k), browser)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// hint is what the page gets when the browser is back.
func (d *desk) hint(t *testing.T, r Return) string {
	t.Helper()
	to, _, err := d.Finish(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	hint, ok := strings.CutPrefix(to, "https://bank.example/chat?lang=en&userToken=")
	if !ok || hint == "" {
		t.Fatalf("sent back to %q", to)
	}
	return hint
}

// signedIn is a hint for ann's conversation.
func (d *desk) signedIn(t *testing.T) string {
	t.Helper()
	return d.hint(t, d.issuer.signIn(t, d.start(t, ann, "browser")))
}

// check is the class of an answer to a conversation that shows a hint.
func check(t *testing.T, a *Authorizer, k securesession.Key, hint string) securesession.Answer {
	t.Helper()
	object := json.RawMessage(fmt.Sprintf(`{"lang":"en","userToken":%q}`, hint))
	if _, missing := a.Read(object); missing {
		t.Fatal("the hint is not seen")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return a.Check(ctx, k, securesession.Subject{Context: object})
}

func want(t *testing.T, what string, got securesession.Answer, class securesession.Class) {
	t.Helper()
	if got.Class != class {
		t.Errorf("%s: %+v, want class %d", what, got, class)
	}
}
