package secretstore

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeVault answers as the documentation of Vault's HTTP API says: KV v2 "Read secret
// version", auth/token "Lookup a token (self)" and "Renew a token (self)", auth/approle
// and auth/kubernetes "Login".
type fakeVault struct {
	*httptest.Server
	namespace string

	mu       sync.Mutex
	secrets  map[string][]map[string]any // path → versions; nil: deleted
	tokens   map[string]int              // good ones → seconds to live, 0 for ever
	policy   func(token, path string) bool
	fail     int    // a status for everything
	body     string // of that
	made     int    // tokens by logins
	lease    int    // of those
	calls    []string
	renewals int
}

func newFakeVault(t *testing.T) *fakeVault {
	t.Helper()
	v := &fakeVault{secrets: map[string][]map[string]any{}, tokens: map[string]int{"root": 0}, lease: 3600}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

// put adds a version to a secret of the organization acme; nil is a deleted one.
func (v *fakeVault) put(name string, data map[string]any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	path := "carnet/acme/" + name
	v.secrets[path] = append(v.secrets[path], data)
}

func (v *fakeVault) edit(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

// take returns the calls since the last time, as "METHOD path".
func (v *fakeVault) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	calls := v.calls
	v.calls = nil
	return calls
}

func (v *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	v.calls = append(v.calls, r.Method+" "+path)
	token := r.Header.Get("X-Vault-Token")
	ttl, known := v.tokens[token]
	switch {
	case v.fail != 0:
		if v.fail/100 == 3 {
			w.Header().Set("Location", v.URL+"/elsewhere")
		}
		w.WriteHeader(v.fail)
		fmt.Fprint(w, v.body)
	case r.Header.Get("X-Vault-Request") != "true":
		answerErrors(w, http.StatusPreconditionFailed, "missing required header")
	case r.Header.Get("X-Vault-Namespace") != v.namespace:
		answerErrors(w, http.StatusForbidden, "permission denied")
	case strings.HasSuffix(path, "/login") && r.Method == http.MethodPost:
		v.login(w, r, path)
	case !known:
		answerErrors(w, http.StatusForbidden, "permission denied")
	case r.Method == http.MethodGet && path == "auth/token/lookup-self":
		answer(w, 200, map[string]any{"auth": nil, "data": map[string]any{"id": token, "ttl": ttl, "renewable": ttl > 0, "policies": []string{"default"}}})
	case r.Method == http.MethodPost && path == "auth/token/renew-self":
		v.renewals++
		answer(w, 200, map[string]any{"data": nil, "auth": map[string]any{"client_token": token, "lease_duration": ttl, "renewable": true}})
	case v.policy != nil && !v.policy(token, path):
		answerErrors(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	case r.Method == http.MethodGet && strings.HasPrefix(path, "secret/data/"):
		v.read(w, strings.TrimPrefix(path, "secret/data/"), r.URL.Query().Get("version"))
	default:
		answerErrors(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", path))
	}
}

func (v *fakeVault) login(w http.ResponseWriter, r *http.Request, path string) {
	var in map[string]string
	err := json.NewDecoder(r.Body).Decode(&in)
	good := false
	switch path {
	case "auth/approle/login", "auth/other/role/login":
		good = in["role_id"] == "carnet" && in["secret_id"] == "s3cret-id"
	case "auth/kubernetes/login":
		good = in["role"] == "carnet" && in["jwt"] == "s3cret-jwt"
	}
	if err != nil || !good {
		answerErrors(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	v.made++
	token := "made-" + strconv.Itoa(v.made)
	v.tokens[token] = v.lease
	answer(w, 200, map[string]any{"data": nil, "auth": map[string]any{"client_token": token, "lease_duration": v.lease, "renewable": true}})
}

func (v *fakeVault) read(w http.ResponseWriter, path, version string) {
	versions := v.secrets[path]
	n := len(versions)
	if version != "" {
		n, _ = strconv.Atoi(version)
	}
	switch {
	case n == 0 || n > len(versions):
		answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
	case versions[n-1] == nil:
		answer(w, http.StatusNotFound, map[string]any{"data": map[string]any{
			"data": nil, "metadata": map[string]any{"version": n, "deletion_time": "2030-01-02T03:04:05.678Z", "destroyed": false},
		}})
	default:
		answer(w, 200, map[string]any{"data": map[string]any{
			"data": versions[n-1], "metadata": map[string]any{"version": n, "deletion_time": "", "destroyed": false},
		}})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func answerErrors(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]any{"errors": []string{text}})
}
