package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/carnetproject/carnet"
)

// TestChangesUnderTraffic changes consumers and keys while many devices call: each is
// answered as itself or refused, never as another, and what stands in the end is what
// was changed last.
func TestChangesUnderTraffic(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	cfg := oneRoute("internal://echo", Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}, KidLookup: true}})
	cfg.Consumers[1].JWTSecrets = append(cfg.Consumers[1].JWTSecrets, JWTSecret{Key: "shipped", KeySet: "shipped"})
	s, d := &sets{}, newDirectory()
	s.put("shipped", joseKey("ES256", "shipped_key1", es256()))
	g, err := New(t.Context(), Options{
		Config: cfg, KeySet: s.read, Registry: d, Cache: carnet.NewCache(1 << 20),
		Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) (int, http.Header) {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/demo", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		g.ServeHTTP(w, r)
		var up seen
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &up); err != nil {
				t.Error(err)
			}
		}
		return w.Code, up.Header
	}
	done := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 12 {
		iss, token := "", ""
		switch i % 3 {
		case 0: // by prefix
			iss = fmt.Sprintf("mobilev2-d%d-1591600000000", i)
			token = deviceToken(iss, nil)
		case 1: // by a published kid
			iss = fmt.Sprintf("device-%d", i)
			token = issued("ES256", "shipped_key1", es256(), iss)
		default: // of the store
			iss = fmt.Sprintf("legacy-%d", i)
			token = hs("s", iss)
			d.put(storedSecret(iss, "s", "first"))
		}
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				status, up := ask(token)
				if status != http.StatusOK && status != http.StatusUnauthorized {
					t.Errorf("%s: %d", iss, status)
				}
				if status == http.StatusOK && up.Get("X-Credential-Identifier") != iss {
					t.Errorf("%s is %q", iss, up.Get("X-Credential-Identifier"))
				}
			}
		})
	}
	for n := range rounds {
		next := cfg
		next.Consumers = append([]Consumer(nil), cfg.Consumers...)
		next.Consumers[1].Groups = []string{fmt.Sprintf("round-%d", n)}
		if n%2 == 0 { // the devices' key, the published one, and a credential of the store go and come
			next.Consumers[1].JWTSecrets = append([]JWTSecret(nil), cfg.Consumers[1].JWTSecrets...)
			next.Consumers[1].JWTSecrets[0].PublicKey = publicPEM(rsaB())
			s.put("shipped", joseKey("ES256", "shipped_key2", es256()))
			d.remove("legacy-2")
		} else {
			s.put("shipped", joseKey("ES256", "shipped_key1", es256()))
			d.put(storedSecret("legacy-2", "s", fmt.Sprintf("round-%d", n)))
		}
		if err := g.Reload(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if err := g.SetsChanged(); err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{deviceToken("mobilev2-d0-1591600000000", nil), issued("ES256", "shipped_key1", es256(), "device-1"), hs("s", "legacy-2")} {
			if status, _ := ask(token); (status == http.StatusOK) != (n%2 == 1) {
				t.Errorf("round %d: %d", n, status)
			}
		}
	}
	close(done)
	clients.Wait()
}
