package gateway

import (
	"crypto"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/jose"
)

// kongParse is a case of Kong's own tests of its parser.
type kongParse struct {
	ID    string
	Given struct {
		Alg            string
		Header, Claims object
		Verify         []string
		Key            string
	}
	Expect struct {
		Verify *bool
		OK     *bool
		Errors object
		Parse  string
	}
}

func TestKongParser(t *testing.T) {
	t.Parallel()
	file := kongCases(t)
	echo := newEcho(t)
	for _, c := range file.Parser {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			switch {
			case notAtAll[c.ID] != "":
				t.Skip(notAtAll[c.ID])
			case c.Expect.Verify != nil:
				c.verify(t, echo.URL)
			case c.Expect.OK != nil:
				c.times(t, file, echo.URL)
			case c.Expect.Parse == "ok":
				var u jose.Unverified
				if err := u.Parse(sign("HS256", []byte("secret"), c.Given.Header, object{"iss": "x"})); err != nil {
					t.Errorf("Parse() = %v", err)
				}
			default:
				t.Errorf("nobody runs %+v", c)
			}
		})
	}
}

// verify signs a token with a key and has it verified with that key, or with another.
func (c *kongParse) verify(t *testing.T, echo string) {
	alg, _, _ := strings.Cut(c.Given.Alg, "/")
	secret := JWTSecret{Key: "k", Algorithm: alg, Secret: stated("a-secret")}
	signers := map[string][2]crypto.Signer{
		"RS": {rsaA(), rsaB()}, "PS": {rsaA(), rsaB()}, "ES": {es256(), es256()}, "Ed": {eddsa(), eddsa()},
	}
	key, other := any([]byte("a-secret")), any([]byte("another-secret"))
	if pair, ok := signers[alg[:2]]; ok {
		key, other = pair[0], pair[1]
		secret.Secret, secret.PublicKey = Secret{}, publicPEM(pair[0])
	}
	if !*c.Expect.Verify {
		key = other
	}
	cfg := oneRoute(echo, Plugins{JWT: &JWT{}})
	cfg.Consumers[0].JWTSecrets = append(cfg.Consumers[0].JWTSecrets, secret)
	_, server := newGateway(t, Options{Config: cfg})
	claims := object{"iss": "k"}
	for name, v := range c.Given.Claims {
		claims[name] = v
	}
	a := call(t, server, "GET", "/demo?jwt="+sign(alg, key, object{"alg": alg}, claims))
	if *c.Expect.Verify {
		a.seen(t)
	} else if a.status != 401 || a.message(t) != "Invalid signature" {
		t.Errorf("%d %s, want 401 Invalid signature", a.status, a.body)
	}
}

func (c *kongParse) times(t *testing.T, file *kongFile, echo string) {
	_, server := newGateway(t, Options{Config: oneRoute(echo, Plugins{JWT: &JWT{ClaimsToVerify: c.Given.Verify}})})
	a := call(t, server, "GET", "/demo?jwt="+hs(appSecret, "app-key", file.object(c.Given.Claims)))
	if *c.Expect.OK {
		a.seen(t)
		return
	}
	if d := gocmp.Diff(c.Expect.Errors, a.object(t)); a.status != 401 || d != "" {
		t.Errorf("%d, errors (-want +got):\n%s", a.status, d)
	}
}

// runKongDevices has many devices at once whose tokens name one credential by kid: the
// plugin that the rule comes from counted them as one another.
func runKongDevices(t *testing.T, file *kongFile, server *httptest.Server) {
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			iss := fmt.Sprintf("device-%d", i)
			token := sign("RS256", file.key("mobilev2_k2"), object{"alg": "RS256", "kid": "mobilev2_key2"}, object{"iss": iss})
			for range 5 {
				a := call(t, server, "GET", "/demo", "Authorization: Bearer "+token)
				if a.status != 200 || !strings.Contains(a.body, `"X-Credential-Identifier":["`+iss+`"]`) {
					t.Errorf("%s: %d %s", iss, a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
}

// runKongTheft has the holder of a secret name themselves by kid and a victim by iss.
// That rewrote the credential that all requests share; here it is refused.
func runKongTheft(t *testing.T, file *kongFile, server *httptest.Server) {
	legacy := file.credential("legacy_dev")
	theft := sign("HS256", []byte(legacy.Secret), object{"alg": "HS256", "kid": legacy.Key}, object{"iss": "victim-device"})
	if a := call(t, server, "GET", "/demo?jwt="+theft); a.status != 401 || a.message(t) != "No credentials found for given 'iss'" {
		t.Errorf("theft: %d %s", a.status, a.body)
	}
	up := call(t, server, "GET", "/demo?jwt="+hs(legacy.Secret, legacy.Key)).seen(t)
	if id := up.Header.Get("X-Credential-Identifier"); id != legacy.Key {
		t.Errorf("identity of the honest owner %q, want %q", id, legacy.Key)
	}
}

// What Kong's cases "invalidation" tell in words.
func TestKongInvalidation(t *testing.T) {
	t.Parallel()
	t.Run("invalidation-001", func(t *testing.T) {
		t.Parallel()
		d := newDirectory()
		d.put(storedSecret("store-key", "s", "stored"))
		_, server := newGateway(t, cached(Options{Config: oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}}), Registry: d}))
		target := "/demo?jwt=" + hs("s", "store-key")
		call(t, server, "GET", target).seen(t)
		d.remove("store-key")
		if a := call(t, server, "GET", target); a.status != 401 {
			t.Errorf("%d %s after the credential is gone", a.status, a.body)
		}
	})
	t.Run("invalidation-002", func(t *testing.T) {
		t.Parallel()
		d := newDirectory()
		d.put(storedSecret("key123", "s", "stored"))
		_, server := newGateway(t, cached(Options{Config: oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}}), Registry: d}))
		want := func(iss string, status int) {
			t.Helper()
			if a := call(t, server, "GET", "/demo?jwt="+hs("s", iss)); a.status != status {
				t.Errorf("%s: %d %s, want %d", iss, a.status, a.body, status)
			}
		}
		want("key123", 200)
		want("keyhello", 401)
		d.remove("key123")
		d.put(storedSecret("keyhello", "s", "stored"))
		want("keyhello", 200)
		want("key123", 401)
	})
}
