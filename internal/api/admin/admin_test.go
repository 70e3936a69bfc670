package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/secret"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// ring notes what it is told.
type ring struct {
	keys []key.Key
	told []string
	err  error
}

func (r *ring) List(key.SetName) []key.Key { return r.keys }

func (r *ring) Rotate(_ context.Context, set key.SetName, o key.RotateOptions) error {
	what := "rotate " + string(set)
	if o.Now {
		what += " now"
	}
	r.told = append(r.told, what)
	return r.err
}

func (r *ring) Revoke(_ context.Context, kid string) error {
	r.told = append(r.told, "revoke "+kid)
	return r.err
}

func TestAPI(t *testing.T) {
	t.Parallel()
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	const good = "Bearer s3cret"
	for name, tc := range map[string]struct {
		method, path, auth string
		fails              error
		status             int
		told               []string
	}{
		"no secret":          {"POST", "/carnet/v1/keysets/access/rotate", "", nil, 401, nil},
		"wrong secret":       {"POST", "/carnet/v1/keysets/access/rotate", "Bearer s3cre", nil, 401, nil},
		"other scheme":       {"POST", "/carnet/v1/keysets/access/rotate", "Basic s3cret", nil, 401, nil},
		"rotate":             {"POST", "/carnet/v1/keysets/access/rotate", good, nil, 204, []string{"rotate access"}},
		"rotate now":         {"POST", "/carnet/v1/keysets/access/rotate?now=true", good, nil, 204, []string{"rotate access now"}},
		"rotate perhaps":     {"POST", "/carnet/v1/keysets/access/rotate?now=1", good, nil, 400, nil},
		"rotate unknown":     {"POST", "/carnet/v1/keysets/other/rotate", good, nil, 404, nil},
		"rotate in conflict": {"POST", "/carnet/v1/keysets/access/rotate", good, fault.New(fault.Conflict, "pending"), 409, []string{"rotate access"}},
		"revoke":             {"POST", "/carnet/v1/keysets/access/revoke/k1", good, nil, 204, []string{"revoke k1"}},
		"revoke unknown":     {"POST", "/carnet/v1/keysets/access/revoke/k2", good, nil, 404, nil},
		"reload":             {"POST", "/carnet/v1/reload", good, nil, 204, []string{"reload"}},
		"reload fails":       {"POST", "/carnet/v1/reload", good, errors.New("line 3"), 400, []string{"reload"}},
		"other method":       {"DELETE", "/carnet/v1/keysets", good, nil, 405, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &ring{keys: []key.Key{{Set: "access", Public: k.Public()}}, err: tc.fails}
			mux := http.NewServeMux()
			New(Config{
				Secret: secret.FromString("s3cret"), Sets: []key.SetName{"access"}, Keys: r,
				Reload: func(context.Context) error { r.told = append(r.told, "reload"); return tc.fails },
			}).Mount(mux)
			req := httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, nil)
			if tc.auth != "" {
				req.Header.Set("Authorization", tc.auth)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, req)
			if w.Code != tc.status || !slices.Equal(r.told, tc.told) {
				t.Errorf("answered %d and did %v, want %d and %v: %s", w.Code, r.told, tc.status, tc.told, w.Body)
			}
			if strings.Contains(w.Body.String(), "s3cre") {
				t.Error("the answer shows the secret")
			}
		})
	}
}

func TestListShowsStatesAndNothingPrivate(t *testing.T) {
	t.Parallel()
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	r := &ring{keys: []key.Key{{Set: "access", Public: k.Public(), Sealed: "sealed-text", Created: noon, Active: noon.Add(time.Minute)}}}
	mux := http.NewServeMux()
	New(Config{Secret: secret.FromString("s"), Sets: []key.SetName{"access"}, Keys: r, Clock: func() time.Time { return noon }}).Mount(mux)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/carnet/v1/keysets", nil)
	req.Header.Set("Authorization", "Bearer s")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	var got map[string][]map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got["access"]) != 1 || got["access"][0]["state"] != "pending" || got["access"][0]["kid"] != "k1" {
		t.Errorf("list = %s", w.Body)
	}
	if _, there := got["access"][0]["retire"]; there || strings.Contains(w.Body.String(), "sealed-text") {
		t.Errorf("list shows what it should not: %s", w.Body)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("the answer may be cached")
	}
}

func TestEmptySecretLetsNobodyIn(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"", "Bearer", "Bearer ", "Bearer x"} {
		mux := http.NewServeMux()
		New(Config{Sets: []key.SetName{"access"}, Keys: &ring{}}).Mount(mux)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/carnet/v1/keysets", nil)
		req.Header["Authorization"] = []string{auth}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%q is answered %d, want 401", auth, w.Code)
		}
	}
}
