package oauth

import (
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

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
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

func (d directory) Authenticate(id app.ID, given secret.Bytes, _ time.Time) (*app.App, error) {
	if a, ok := d[id]; ok && !a.Disabled && !a.Public && given.Equal(secret.FromString("right+%")) {
		return a, nil
	}
	return nil, fault.New(fault.Unauthenticated, "client authentication failed")
}

func (d directory) AllowsOrigin(origin string) bool {
	return origin == "https://web.example" || origin == "https://other.example"
}

type people struct{ err error }

func (p *people) Authenticate(_ context.Context, name string, password secret.Bytes, _ netip.Addr) (user.User, error) {
	if p.err != nil {
		return user.User{}, p.err
	}
	if user.Normalize(name) != "ada" || !password.Equal(secret.FromString("correct horse")) {
		return user.User{}, fault.New(fault.Unauthenticated, "the username or the password is wrong")
	}
	return user.User{ID: "usr_ada", Name: "ada", Scopes: []string{"chat", "orders"}}, nil
}

func (*people) Active(context.Context, string) (bool, error) { return true, nil }

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

func (r *ring) SigningKey(*app.App, time.Time) (*jose.Key, error) { return nil, r.err }

// memory is a store of refresh families in memory.
type memory struct {
	mu   sync.Mutex
	rows map[token.FamilyID]token.Family
}

func (m *memory) AddFamily(_ context.Context, f token.Family) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[f.ID] = f
	return nil
}

func (m *memory) Family(_ context.Context, id token.FamilyID) (token.Family, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.rows[id]; ok {
		return f, nil
	}
	return token.Family{}, fault.New(fault.NotFound, "no such family")
}

func (m *memory) RotateFamily(_ context.Context, id token.FamilyID, old, next [32]byte, expires, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.rows[id]
	if f.Hash != old {
		return false, nil
	}
	f.Hash, f.Expires = next, expires
	m.rows[id] = f
	return true, nil
}

func (m *memory) RevokeFamily(_ context.Context, id token.FamilyID, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.rows[id]
	f.Revoked = now
	m.rows[id] = f
	return nil
}

// fixture is the surface over a real issuer.
type fixture struct {
	http.Handler
	ring     *ring
	people   *people
	mu       sync.Mutex
	observed []Grant
}

func open(t *testing.T, edit ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{ring: &ring{keys: map[jose.Algorithm]*jose.Key{}}, people: &people{}}
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA} {
		k, err := jose.Generate(alg, "")
		if err != nil {
			t.Fatal(err)
		}
		f.ring.keys[alg] = k
	}
	clock := func() time.Time { return noon }
	issuer, err := token.New(token.Config{
		Issuer: issuerURL, AccessTTL: 15 * time.Minute, RefreshTTL: time.Hour, SessionTTL: time.Minute,
		Keys: f.ring, Apps: f.ring, Families: &memory{rows: map[token.FamilyID]token.Family{}}, Subjects: f.people, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Issuer: issuerURL,
		Apps: directory{
			"app_web": {ID: "app_web", AccessAlgorithm: jose.EdDSA, Scopes: []string{"read", "write"}, Origins: []string{"https://web.example"}},
			"app_b+%": {ID: "app_b+%", AccessAlgorithm: jose.ES256, Origins: []string{"https://other.example"}},
			"app_off": {ID: "app_off", Disabled: true},
			"app_spa": {ID: "app_spa", Public: true, AccessAlgorithm: jose.ES256, Origins: []string{"https://web.example"}},
			"app_old": {ID: "app_old", Public: true, Disabled: true},
		},
		Users: f.people, Tokens: issuer, Keys: f.ring, ClientAddr: httpx.ClientAddr(nil),
		LoginPerAddr: limit.New(limit.Rate{}, 0), LoginPerUser: limit.New(limit.Rate{}, 0), LoginPerName: limit.New(limit.Rate{}, 0), TokenPerApp: limit.New(limit.Rate{}, 0),
		Observe: func(g Grant, _ error) {
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
