package admin

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/audit/audittest"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/secret"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	k, err := jose.Generate(jose.ES256, "k1")
	if err != nil {
		t.Fatal(err)
	}
	var kept audittest.Store
	log, lines := audittest.New(t, &kept, audit.Config{})
	mux := http.NewServeMux()
	r := &ring{keys: []key.Key{{Set: "access", Public: k.Public()}}}
	New(Config{
		Secret: secret.FromString("s3cret"), Sets: []key.SetName{"access"}, Keys: r, Audit: log,
		ClientAddr: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
	}).Mount(mux)
	ask := func(path string) int {
		req := httptest.NewRequestWithContext(t.Context(), "POST", path, nil)
		req.Header.Set("Authorization", "Bearer s3cret")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		return w.Code
	}
	for path, want := range map[string]int{"access/rotate": 204, "other/rotate": 404, "access/revoke/k1": 204, "access/revoke/k2": 404} {
		if got := ask("/carnet/v1/keysets/" + path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	r.err = fault.New(fault.Conflict, "pending")
	ask("/carnet/v1/keysets/access/rotate") // nothing is done
	got := strings.Join(lines(), "\n")
	for _, want := range []string{"admin:carnet key.rotate access ok 192.0.2.1", "admin:carnet key.revoke k1 ok 192.0.2.1"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 1 {
		t.Errorf("want these two alone:\n%s", got)
	}
}
