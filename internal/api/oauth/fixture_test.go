package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/signin/signintest"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const issuerURL = "https://id.example"

// directory is apps whose secret is "right+%" and users whose password is
// "correct horse".
type directory map[app.ID]*app.App

func (d directory) Find(id app.ID) (*app.App, bool) {
	a, ok := d[id]
	return a, ok
}

func (d directory) Authenticate(_ context.Context, id app.ID, given secret.Bytes, _ time.Time) (*app.App, error) {
	if a, ok := d[id]; ok && !a.Disabled && !a.Public && given.Equal(secret.FromString("right+%")) {
		return a, nil
	}
	if id == "app_far" { // its secret lies with a provider that does not answer
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "try again", RetryAfter: 10 * time.Second}
	}
	return nil, fault.New(fault.Unauthenticated, "client authentication failed")
}

func (d directory) AllowsOrigin(origin string) bool {
	return origin == "https://web.example" || origin == "https://other.example" || origin == "https://page.example"
}

type people struct {
	err     error
	id      user.ID // who it is; empty: usr_ada
	gone    string  // who may not go on any more
	failing error   // of a change of password
	changed int     // passwords
}

func (p *people) Authenticate(_ context.Context, name string, password secret.Bytes, _ netip.Addr) (user.User, error) {
	if p.err != nil {
		return user.User{}, p.err
	}
	if user.Normalize(name) != "ada" || !password.Equal(secret.FromString("correct horse")) {
		return user.User{}, fault.New(fault.Unauthenticated, "the username or the password is wrong")
	}
	return user.User{ID: cmp.Or(p.id, "usr_ada"), Name: "ada", Scopes: []string{"chat", "orders"}}, nil
}

func (p *people) Active(_ context.Context, subject string) (bool, error) {
	return subject != "usr_gone" && subject != p.gone, p.err
}

func (*people) KeepsPassword(subject string) bool { return subject != "ext_eve" }

func (p *people) ChangePassword(_ context.Context, _ user.ID, old, fresh secret.Bytes) error {
	switch {
	case p.failing != nil:
		return p.failing
	case fresh.Len() < 8:
		return fault.BadField("password", "must be 8 to 1024 bytes")
	case !old.Equal(secret.FromString("correct horse")):
		return fault.New(fault.Unauthenticated, "the username or the password is wrong")
	}
	p.changed++
	return nil
}

func (p *people) ByID(_ context.Context, subject string) (user.User, error) {
	switch {
	case p.err != nil:
		return user.User{}, p.err
	case subject == "usr_ada" || subject == "usr_gone":
		return user.User{ID: user.ID(subject), Name: "ada", Disabled: subject == "usr_gone" || subject == p.gone, Scopes: []string{"chat", "orders"}}, nil
	default:
		return user.User{}, fault.New(fault.NotFound, "no such user")
	}
}

// ring signs with one key per algorithm and publishes them.
type ring struct {
	keys map[jose.Algorithm]*jose.Key
	err  error
}

func (r *ring) Sign(_ context.Context, _ key.SetName, alg jose.Algorithm, typ string, claims []byte) (string, error) {
	if r.err != nil {
		return "", r.err
	}
	if alg == "" {
		alg = jose.ES256
	}
	return r.keys[alg].Sign(typ, claims)
}

func (r *ring) JWKS(set key.SetName, _ time.Time) ([]byte, error) {
	if set != token.AccessSet && set != "mobile_device" {
		return nil, fault.New(fault.NotFound, "no such key set")
	}
	s, err := jose.NewSet(r.keys[jose.ES256].Public(), r.keys[jose.EdDSA].Public())
	if err != nil {
		return nil, err
	}
	return s.MarshalJSON()
}

func (r *ring) SigningKey(context.Context, *app.App, time.Time) (*jose.Key, error) { return nil, r.err }

// taken is the revocations, and the assertions that were used.
type taken struct {
	mu    sync.Mutex
	names map[string]bool
	used  map[[32]byte]bool
	epoch uint64
	err   error
}

func (t *taken) Add(_ context.Context, d revocation.Draft) (revocation.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	t.names[d.Name] = true
	return revocation.Entry{}, t.err
}

func (t *taken) Revoked(r revocation.Token) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.names[r.ID] || t.names[r.SignIn] || t.names[r.Subject]
}

func (t *taken) UseAssertion(_ context.Context, id [32]byte, _ time.Time) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.used[id]
	t.used[id] = true
	return first, t.err
}

// takenOf is taken as a verifier asks it.
type takenOf struct{ *taken }

func (t takenOf) Epoch() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch
}

func (t takenOf) Revoked(v *carnet.Verified) bool { return t.taken.Revoked(revocation.Of(v)) }

// signers are the keys of apps, each with one.
type signers map[app.ID]*jose.Key

func (s signers) Generation() uint64 { return 0 }

func (s signers) Find(_ context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	if h.Issuer == "app_away" {
		return nil, carnet.ErrKeysUnavailable
	}
	k, ok := s[app.ID(h.Issuer)]
	if !ok {
		return nil, carnet.ErrUnknownKey
	}
	text, err := k.Public().MarshalJWK()
	if err != nil {
		return nil, err
	}
	public, err := carnet.ParseJWK(text)
	return []*carnet.Key{public}, err
}

// published verifies what the ring signs.
func published(t *testing.T, r *ring) carnet.KeySource {
	t.Helper()
	text, err := r.JWKS(token.AccessSet, noon)
	if err != nil {
		t.Fatal(err)
	}
	source, err := carnet.ParseJWKS(text)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// fixture is the surface over a real issuer, whose clock the test moves.
type fixture struct {
	http.Handler
	ring     *ring
	people   *people
	taken    *taken
	store    signintest.Store
	signers  signers
	apps     directory
	issuer   *token.Issuer
	access   *carnet.Verifier
	now      time.Time
	mu       sync.Mutex
	observed []app.Grant
}

func open(t *testing.T, edit ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{
		ring: &ring{keys: map[jose.Algorithm]*jose.Key{}}, people: &people{}, signers: signers{}, now: noon,
		taken: &taken{names: map[string]bool{}, used: map[[32]byte]bool{}},
	}
	for _, id := range []app.ID{"app_web", "app_key", "app_off"} {
		k, err := jose.Generate(jose.EdDSA, "k1")
		if err != nil {
			t.Fatal(err)
		}
		f.signers[id] = k
	}
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA} {
		k, err := jose.Generate(alg, "")
		if err != nil {
			t.Fatal(err)
		}
		f.ring.keys[alg] = k
	}
	clock := func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.now
	}
	var err error
	f.issuer, err = token.New(token.Config{
		Issuer: issuerURL, AccessTTL: 15 * time.Minute, RefreshTTL: time.Hour, SessionTTL: time.Minute, IdentityAlgorithm: jose.ES256,
		Keys: f.ring, Apps: f.ring, Families: &f.store, Subjects: f.people, Revocations: f.taken, Clock: clock,
		Kept: func(client app.ID, scope string) string { return signin.Kept(f.apps[client], scope) },
	})
	if err != nil {
		t.Fatal(err)
	}
	policy := carnet.AccessTokens(issuerURL, "")
	policy.AnyAudience = true
	f.access, err = carnet.NewVerifier(carnet.VerifierConfig{
		Keys: published(t, f.ring), Policy: policy, Cache: carnet.NewCache(1 << 20), Revocations: takenOf{f.taken}, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	assertions, err := token.NewAssertions(token.AssertionConfig{Issuer: issuerURL, Keys: f.signers, Used: f.taken, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	f.apps = directory{
		"app_web": {ID: "app_web", AccessAlgorithm: jose.EdDSA, Scopes: []string{"read", "write"}, Origins: []string{"https://web.example"}},
		"app_b+%": {ID: "app_b+%", AccessAlgorithm: jose.ES256, Origins: []string{"https://other.example"}},
		"app_off": {ID: "app_off", Disabled: true},
		"app_spa": {ID: "app_spa", Public: true, AccessAlgorithm: jose.ES256, Origins: []string{"https://web.example"}},
		"app_old": {ID: "app_old", Public: true, Disabled: true},
		"app_key": {ID: "app_key", AccessAlgorithm: jose.ES256, Scopes: []string{"read"}, UserScopes: []string{"chat", "admin"}, Grants: app.Grants(), Targets: []string{"https://stock.example"}},
		"app_shop": {
			ID: "app_shop", Name: "The <Shop>", AccessAlgorithm: jose.ES256, UserScopes: []string{"chat", "orders", "admin"},
			RedirectURIs: []string{"https://shop.example/back", "https://shop.example/back?tab=1"},
		},
		"app_own":   {ID: "app_own", Name: "Ours", AccessAlgorithm: jose.ES256, FirstParty: true, UserScopes: []string{"chat"}, RedirectURIs: []string{"https://own.example/back"}},
		"app_page":  {ID: "app_page", Name: "Page", Public: true, AccessAlgorithm: jose.ES256, UserScopes: []string{"chat"}, RedirectURIs: []string{"https://page.example/"}, Origins: []string{"https://page.example"}},
		"app_phone": {ID: "app_phone", Name: "Phone", Public: true, FirstParty: true, AccessAlgorithm: jose.ES256, UserScopes: []string{"chat"}, RedirectURIs: []string{"com.example.phone:/back", "http://127.0.0.1/back"}},
		"app_api":   {ID: "app_api", AccessAlgorithm: jose.ES256, Audiences: []string{"https://stock.example"}, Grants: []app.Grant{app.TokenExchange}},
	}
	c := Config{
		Issuer: issuerURL, Audience: issuerURL, Apps: f.apps, Access: f.access, Assertions: assertions,
		SignIns: signin.New(signin.Config{Issuer: issuerURL, Store: &f.store, Revocations: f.taken, Key: secret.FromString("key"), Life: 24 * time.Hour, Clock: clock}), Title: "Example",
		Users: f.people, Tokens: f.issuer, Keys: f.ring, ClientAddr: httpx.ClientAddr(nil),
		LoginPerAddr: limit.New(limit.Rate{}, 0), LoginPerUser: limit.New(limit.Rate{}, 0), LoginPerName: limit.New(limit.Rate{}, 0), TokenPerApp: limit.New(limit.Rate{}, 0), AboutPerApp: limit.New(limit.Rate{}, 0),
		Observe: func(g app.Grant, _ error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.observed = append(f.observed, g)
		},
		Clock: clock,
	}
	for _, e := range edit {
		e(&c)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httpx.Handler(httpx.NotFound)) // as the server has it
	New(c).Mount(mux)
	f.Handler = mux
	return f
}

func (f *fixture) sleep(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// do sends a request; headers come in pairs, and one may repeat.
func (f *fixture) do(t *testing.T, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	ctx := httpx.WithLog(t.Context(), slog.New(slog.DiscardHandler))
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if from := r.Header.Get("From"); from != "" {
		r.RemoteAddr = from + ":1234"
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// form posts a form.
func (f *fixture) form(t *testing.T, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return f.do(t, http.MethodPost, path, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// granted decodes a token response and checks what all of them share.
func granted(t *testing.T, w *httptest.ResponseRecorder) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a.TokenType != "Bearer" || a.ExpiresIn != 900 {
		t.Errorf("answer = %+v", a)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers = %v", w.Header())
	}
	return a
}

// refused checks an error response.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var f failure
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
		t.Fatalf("%v in %d %s", err, w.Code, w.Body)
	}
	if w.Code != status || f.Code != code {
		t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, code)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers = %v", w.Header())
	}
}
