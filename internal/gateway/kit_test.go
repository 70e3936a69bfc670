package gateway

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
)

// The keys of all tests. An RSA key takes long to make, so there are two.
var (
	rsaA  = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaB  = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	es256 = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	es384 = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	es512 = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	eddsa = sync.OnceValue(func() crypto.Signer {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return must(k, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func publicPEM(k crypto.Signer) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.Public()))}))
}

// now is when all tests happen.
var now = time.Unix(1_700_000_000, 0)

type object = map[string]any

// sign makes a compact JWS. The header stands as it is given; alg and key say how
// the signature is really made: they may differ on purpose.
func sign(alg string, key any, header, claims object) string {
	input := encode(header) + "." + encode(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(alg, key, []byte(input)))
}

func encode(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }

func signature(alg string, key any, input []byte) []byte {
	if alg == "none" {
		return nil
	}
	if alg == "EdDSA" {
		return ed25519.Sign(key.(ed25519.PrivateKey), input)
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	h := hash.New()
	h.Write(input)
	sum := h.Sum(nil)
	switch alg[:2] {
	case "HS":
		m := hmac.New(hash.New, key.([]byte))
		m.Write(input)
		return m.Sum(nil)
	case "RS":
		return must(key.(*rsa.PrivateKey).Sign(rand.Reader, sum, hash))
	case "PS":
		return must(key.(*rsa.PrivateKey).Sign(rand.Reader, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}))
	default:
		k := key.(*ecdsa.PrivateKey)
		r, s, err := ecdsa.Sign(rand.Reader, k, sum)
		if err != nil {
			panic(err)
		}
		size := (k.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	}
}

// hs signs an HS256 token of an issuer, with more claims.
func hs(key, iss string, more ...object) string {
	claims := object{"iss": iss}
	for _, m := range more {
		maps.Copy(claims, m)
	}
	return sign("HS256", []byte(key), object{"alg": "HS256", "typ": "JWT"}, claims)
}

// deviceToken signs an RS256 token of a device.
func deviceToken(iss string, header object) string {
	h := object{"alg": "RS256"}
	maps.Copy(h, header)
	return sign("RS256", rsaA(), h, object{"iss": iss, "iat": now.Unix()})
}

func stated(s string) Secret { return Secret{secret.FromString(s)} }

// The consumers of most tests.
const appSecret = "an-app-secret-of-at-least-32-bytes"

func testConsumers() []Consumer {
	return []Consumer{
		{Username: "app", CustomID: "app-1", Groups: []string{"mobileAdmin", "staff"}, JWTSecrets: []JWTSecret{
			{Key: "app-key", Secret: stated(appSecret)},
		}},
		{Username: "devices", Groups: []string{"contentAccess"}, JWTSecrets: []JWTSecret{
			{Key: "mobilev2", Algorithm: "RS256", PublicKey: publicPEM(rsaA())},
		}},
	}
}

// seen is what the echo upstream received.
type seen struct {
	Method  string
	URI     string
	Host    string
	Header  http.Header
	Trailer http.Header
	Body    string
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, r.Header, r.Trailer, string(body)})
}

func newEcho(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(s.Close)
	return s
}

// oneRoute is a configuration with one service and one route to it.
func oneRoute(upstream string, p Plugins) Config {
	return Config{
		Consumers: testConsumers(),
		Services: []Service{{Name: "echo", URL: upstream, Routes: []Route{{
			Name: "demo", Paths: []string{"/demo"}, StripPath: new(bool), Plugins: p,
		}}}},
	}
}

// newGateway starts a gateway behind a real listener.
func newGateway(t testing.TB, o Options) (*Gateway, *httptest.Server) {
	t.Helper()
	if o.Clock == nil {
		o.Clock = func() time.Time { return now }
	}
	g, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	return g, s
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) seen(t testing.TB) seen {
	t.Helper()
	var s seen
	if a.status != http.StatusOK {
		t.Fatalf("status %d, body %s; want 200", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (a answer) message(t testing.TB) string {
	t.Helper()
	var m struct{ Message string }
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return m.Message
}

// object is the body as a JSON object.
func (a answer) object(t testing.TB) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return o
}

// call sends a request with header lines "Name: value".
func call(t testing.TB, server *httptest.Server, method, target string, lines ...string) answer {
	t.Helper()
	u := must(url.Parse(server.URL))
	var b bytes.Buffer
	b.WriteString(method + " " + target + " HTTP/1.1\r\nConnection: close\r\n")
	if !strings.HasPrefix(strings.Join(lines, "\n")+"\n", "Host:") {
		b.WriteString("Host: " + u.Host + "\r\n")
	}
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n")
	return raw(t, u.Host, b.Bytes())
}

// raw sends bytes and reads one answer.
func raw(t testing.TB, address string, request []byte) answer {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, c)
}

func readAnswer(t testing.TB, c net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}
