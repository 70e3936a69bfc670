package gateway

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/carnetproject/carnet"
)

// everyOption is a gateway with each option of jwt and acl on some route.
func everyOption(tb testing.TB) *Gateway {
	tb.Helper()
	no := false
	base := JWT{
		IssuerPrefixes: []string{"mobilev2", "stored"}, KidLookup: true, CookieNames: []string{"session"}, HeaderNames: []string{"authorization", "x-token"},
		ClaimHeaders: map[string]string{"sub": "X-User", "roles": "X-Roles"}, HideCredentials: true, Leeway: 30, Realm: "fuzz",
	}
	strict := base
	strict.ClaimsToVerify, strict.MaximumExpiration, strict.Audience = []string{"exp", "nbf"}, 60, []string{"a"}
	strict.RequiredClaims = map[string][]string{"roles": {"admin"}, "sub": nil}
	old, other, guests := base, base, base
	old.StatusProfile, old.DenyBarePrefix = "sunbird", &no
	other.KeyClaimName, other.SecretIsBase64, other.KidLookup, other.IssuerPrefixes = "client", true, false, nil
	guests.Anonymous, guests.RunOnPreflight = "guest", &no
	cfg := oneRoute("internal://echo", Plugins{JWT: &base, ACL: &ACL{Deny: []string{"nobody"}}})
	for name, j := range map[string]*JWT{"strict": &strict, "old": &old, "other": &other, "guests": &guests} {
		cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: name, Paths: []string{"/" + name}, Plugins: Plugins{JWT: j, ACL: &ACL{Deny: []string{"nobody"}}}})
	}
	cfg.Consumers = append(cfg.Consumers, Consumer{Username: "guest"}, Consumer{Username: "partner", JWTSecrets: []JWTSecret{
		{Key: "partner-key", Algorithm: "ES256", PublicKey: publicPEM(es256())},
		{Key: "desktop", KeySet: "desktop"},
	}})
	sets := &sets{}
	sets.put("desktop", joseKey("ES256", "desktop_key1", es256()))
	d := newDirectory()
	d.put(storedKey("stored", publicPEM(rsaB()), "of-the-store"))
	d.put(storedSecret("secret", "YQ==", "of-the-store"))
	g, err := New(tb.Context(), Options{
		Config: cfg, KeySet: sets.read, Registry: d, Cache: carnet.NewCache(1 << 20),
		Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// signers are who can sign, and whom their signatures may stand for.
var signers = []struct {
	alg   string
	key   func() any
	names []string
}{
	{"HS256", func() any { return []byte(appSecret) }, []string{"app"}},
	{"RS256", func() any { return rsaA() }, []string{"devices"}},
	{"ES256", func() any { return es256() }, []string{"partner"}},
	{"RS256", func() any { return rsaB() }, []string{"of-the-store"}},
	{"HS256", func() any { return []byte("a") }, []string{"of-the-store"}},
	{"HS256", func() any { return []byte("nobody's") }, nil},
	{"none", func() any { return nil }, nil},
}

// FuzzRequest: whatever is sent, no answer is a fault of the server, and who is admitted
// is whom the signature stands for.
func FuzzRequest(f *testing.F) {
	g := everyOption(f)
	f.Add("GET", "/demo", uint8(0), `{"alg":"HS256"}`, `{"iss":"app-key","sub":"ann","roles":["a","b"]}`, "Authorization", "X-User: admin")
	f.Add("POST", "/strict?x", uint8(1), `{"alg":"RS256","kid":"mobilev2"}`, `{"iss":"mobilev2-d-1591600000000","exp":1.7e9,"aud":["a"],"sub":1}`, "jwt", "Cookie: session=x")
	f.Add("OPTIONS", "/guests/a%2eb", uint8(2), `{"alg":"ES256","kid":"desktop_key1"}`, `{"iss":"device","sub":null}`, "session", "X-Token: bearer")
	f.Add("GET", "/old?jwt&jwt=", uint8(3), `{"alg":"RS256","typ":1}`, `{"iss":"stored-d-1591600000000","roles":{"a":{}}}`, "x-token", "Connection: X-User, upgrade")
	f.Add("GET", "/other", uint8(4), `{"alg":"HS256","client":"secret"}`, `{"client":"secret","iss":7}`, "jwt", "Authorization: Bearer")
	f.Add("GET", "/other", uint8(4), `{"alg":"HS256","client":"secret"}`, `{"cli":7}`, "jwt", "Authorization: Bearer")
	f.Add("GET", "/other", uint8(5), `1`, `null`, "jwt", "Host: x")
	f.Add("GET", "/demo?jwt=MQ.e30.AA", uint8(6), `{"alg":"none"}`, `{"iss":"app-key"}`, "Authorization", "X_Consumer_Id: 1")
	f.Fuzz(func(t *testing.T, method, target string, who uint8, header, claims, place, line string) {
		s := signers[int(who)%len(signers)]
		input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		token := input + "." + base64.RawURLEncoding.EncodeToString(signature(s.alg, s.key(), []byte(input)))
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: h\r\n" + line + "\r\n\r\n")))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		switch place {
		case "jwt":
			r.URL.RawQuery += "&jwt=" + token
		case "session":
			r.Header.Add("Cookie", "session="+token)
		default:
			r.Header.Set(place, "Bearer "+token)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code < 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK {
			return
		}
		var up seen
		if err := json.Unmarshal(w.Body.Bytes(), &up); err != nil {
			t.Fatal(err)
		}
		name := up.Header.Get("X-Consumer-Username")
		if up.Header.Get("X-Anonymous-Consumer") == "true" && name == "guest" || name == "" && r.Method == http.MethodOptions {
			return
		}
		if !slices.Contains(s.names, name) {
			t.Fatalf("a token signed with %s stands for %q", s.alg, name)
		}
		if strings.Contains(w.Body.String(), token) {
			t.Fatalf("the upstream saw the token: %s", w.Body)
		}
	})
}
