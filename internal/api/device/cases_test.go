package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// The cases in testdata/kong/cases.json say what adminutil does. All of them run,
// but for those named here.
var notAtAll = map[string]string{
	"sunbird_register_api-035": "there is no Kong behind this, so it cannot answer 500",
}

// instead is where we answer otherwise, as the cases themselves recommend, or as is
// said beside it.
var instead = map[string]caseExpect{
	"sunbird_register_api-007": {Status: 503, Params: object{"status": "failed", "err": "SERVICE_UNAVAILABLE"}}, // it is worth another try
	"sunbird_register_api-024": {Status: 404, Params: object{"status": "failed", "err": "NOT_FOUND"}},
	"sunbird_register_api-025": {Status: 404, Params: object{"status": "failed", "err": "NOT_FOUND"}},
}

type object = map[string]any

type caseExpect struct {
	Status any
	Body   object
	Params object
	Result object
	Claims object `json:"token_claims"`
	Kids   int
}

type registerCase struct {
	ID, Name string
	Request  struct {
		Post     string          `json:"POST"`
		Get      string          `json:"GET"`
		Consumer string          `json:"consumer"`
		Type     string          `json:"content_type"`
		Body     json.RawMessage `json:"body"`
		Repeat   int             `json:"repeat"`
		KeyCount int             `json:"keycount"`
	}
	Expect caseExpect
}

func contractCases[T any](t *testing.T, part string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "kong", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var list []T
	if err := json.Unmarshal(file[part], &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRegisterCases(t *testing.T) {
	t.Parallel()
	list := contractCases[registerCase](t, "sunbird_register_api")
	if len(list) != 22 {
		t.Errorf("there are %d cases: look at the new ones", len(list))
	}
	for _, c := range list {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if why := notAtAll[c.ID]; why != "" {
				t.Skip(why)
			}
			if e, ok := instead[c.ID]; ok {
				c.Expect = e
			}
			c.run(t)
		})
	}
}

// stand puts the store into the state that a case tells of in words.
func (c *registerCase) stand(b *bench) {
	switch c.ID {
	case "sunbird_register_api-004":
		b.store.err = fault.New(fault.NotFound, "no such consumer")
	case "sunbird_register_api-005":
		b.store.owners = map[string]string{"a36c3049b36249a3c9f8891cb127243c": "desktop_device"}
	case "sunbird_register_api-007":
		b.store.err = fault.New(fault.Unavailable, "down")
	}
}

func (c *registerCase) run(t *testing.T) {
	t.Helper()
	consumer := "mobile_device"
	if c.Request.Consumer != "" {
		consumer = c.Request.Consumer
	}
	b := open(t, func(o *Config) { o.Health = func(context.Context) error { return os.ErrClosed } })
	c.stand(b)
	var signed keys = b.signer
	if c.Request.KeyCount > 0 {
		signed = newRing(t, c.Request.KeyCount)
	}
	if c.Request.KeyCount > 0 || consumer == "Purandara" {
		r, err := device.New(device.Config{
			Keys: signed, Clock: b.now, Legacy: b.store, LegacyConsumers: []string{"Purandara"},
			Sets: map[key.SetName]device.Set{"mobile_device": {Algorithm: jose.ES256, Form: device.Shipped}},
		})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		New(Config{Registrar: r, ClientAddr: httpx.ClientAddr(nil), Clock: b.now}).Mount(mux)
		b.Handler = mux
	}
	kids := map[string]int{}
	for range max(1, c.Request.Repeat) {
		token := c.once(t, b, consumer)
		if c.Expect.Kids > 0 {
			var u jose.Unverified
			if err := u.Parse(token); err != nil {
				t.Fatal(err)
			}
			kids[u.KeyID]++
		}
		b.clock = b.clock.Add(time.Second)
	}
	if len(kids) != c.Expect.Kids {
		t.Errorf("%s: signed by %v, want %d keys", c.Name, kids, c.Expect.Kids)
	}
	for kid, n := range kids {
		if n < c.Request.Repeat/c.Expect.Kids*3/4 {
			t.Errorf("%s: %s signed %d of %d", c.Name, kid, n, c.Request.Repeat)
		}
	}
}

// once sends the request and returns the token of the answer.
func (c *registerCase) once(t *testing.T, b *bench, consumer string) string {
	t.Helper()
	body := c.Request.Body
	switch {
	case string(body) == `""`:
		body = nil
	case body == nil:
		body = json.RawMessage(`{"request":{"key":"dev.sunbird.app-7b1c"}}`)
	}
	w := call(t, b, strings.Replace(c.Request.Post+c.Request.Get, "{consumer}", consumer, 1), bytes.NewReader(body), func(r *http.Request) {
		if c.Request.Get != "" {
			r.Method = http.MethodGet
		}
		if c.Request.Type != "" {
			r.Header.Set("Content-Type", c.Request.Type)
		}
	})
	if want := c.Expect.status(); w.Code != want {
		t.Fatalf("%s: %d %s, want %d", c.Name, w.Code, w.Body, want)
	}
	got := decode[object](t, w)
	if c.ID == "sunbird_register_api-036" {
		result := got["result"].(object)
		if check := result["checks"].([]any)[0].(object); result["healthy"] != false || check["err"] != "INTERNAL_ERROR" ||
			!strings.HasPrefix(check["errmsg"].(string), "ERROR WHEN DETERMINING HEALTH. Msg: ") {
			t.Errorf("%s: %s", c.Name, w.Body)
		}
		return ""
	}
	c.Expect.check(t, got)
	if w.Code != http.StatusOK {
		return ""
	}
	token, _ := got["result"].(object)["token"].(string)
	var claims object
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		t.Fatalf("%s: claims are %s", c.Name, text)
	}
	like(t, "claims", c.Expect.Claims, claims)
	return token
}

// status is the one that is wanted: a list is of several that are the same.
func (e *caseExpect) status() int {
	if list, ok := e.Status.([]any); ok {
		e.Status = list[0]
	}
	switch s := e.Status.(type) {
	case int:
		return s
	case float64:
		return int(s)
	default:
		return http.StatusOK
	}
}

func (e *caseExpect) check(t *testing.T, got object) {
	t.Helper()
	like(t, "body", e.Body, got)
	for name, want := range map[string]object{"params": e.Params, "result": e.Result} {
		if want != nil {
			like(t, name, want, got[name].(object))
		}
	}
}

// described are values that a case describes in words.
var described = map[string]*regexp.Regexp{
	"epoch milliseconds > 0":     regexp.MustCompile(`^[1-9]\d{12}$`),
	"epoch ms":                   regexp.MustCompile(`^[1-9]\d{12}$`),
	"request.params.msgid or ''": regexp.MustCompile(`^$`),
	"random UUID":                regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`),
	"uuid":                       regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`),
	"from Kong":                  regexp.MustCompile(`^[A-Za-z0-9]{32}$`),
	"the same token":             regexp.MustCompile(`^eyJ`),
	"exp-now":                    regexp.MustCompile(`^600$`),
	"2 entries, PUBLIC last":     regexp.MustCompile(`^\[\{"role":"CONTENT_CREATOR","scope":\[\]\},\{"role":"PUBLIC","scope":\[\]\}\]$`),
	"mobilev2-dev.sunbird.app-7b1c0d9e5f-<timestamp>":                                                                     regexp.MustCompile(`^mobilev2-dev\.sunbird\.app-7b1c0d9e5f-\d{13}$`),
	"HS256 JWT {alg:HS256}.{iss:key, iat:now} signed with the secret":                                                     regexp.MustCompile(`^eyJhbGciOiJIUzI1NiJ9\.`),
	"min(access validity, rest of offline validity)":                                                                      regexp.MustCompile(`^43200$`),
	"min(access.token.validity, exp-now)":                                                                                 regexp.MustCompile(`^600$`),
	"result.name of the learner answer (only when more than one role)":                                                    regexp.MustCompile(`^Ann$`),
	"RS256 by a random access key: header alg,typ copied, kid=key id; claims exp,iat,iss,aud,sub,typ=Bearer,roles[,name]": regexp.MustCompile(`^eyJ`),
}

// like compares the members that are wanted. "a.b" is the member b of a.
func like(t *testing.T, path string, want, got object) {
	t.Helper()
	for name, value := range want {
		at := path + "." + name
		have, ok := got[name]
		if before, after, dotted := strings.Cut(name, "."); dotted {
			like(t, path+"."+before, object{after: value}, got[before].(object))
			continue
		}
		inner, isObject := value.(object)
		words, _ := value.(string)
		text := strings.TrimSuffix(strings.TrimPrefix(compact(t, have), `"`), `"`)
		switch {
		case !ok:
			t.Errorf("%s is not there", at)
		case isObject:
			like(t, at, inner, have.(object))
		case described[words] != nil:
			if !described[words].MatchString(text) {
				t.Errorf("%s = %s, want %s", at, text, words)
			}
		case compact(t, have) != compact(t, value):
			t.Errorf("%s = %s, want %s", at, compact(t, have), compact(t, value))
		}
	}
}

func compact(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keys is what a registrar signs with.
type keys interface {
	Sign(ctx context.Context, set key.SetName, alg jose.Algorithm, typ string, claims []byte) (string, error)
}

// newRing is a set of n keys that sign by turns of chance.
func newRing(t *testing.T, n int) *key.Ring {
	t.Helper()
	box, err := seal.NewBox(secret.New(make([]byte, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := key.New(key.Config{Store: &memory{}, Box: box, Specs: []key.Spec{{
		Name: "mobile_device", Algorithms: []jose.Algorithm{jose.ES256}, Active: n, Verification: key.Forever, KidPrefix: "mobilev2_key",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// memory is a store of keys.
type memory struct{ saved []key.Key }

func (m *memory) Keys(context.Context) ([]key.Key, error) { return m.saved, nil }

func (m *memory) SaveKeys(_ context.Context, _ []key.Key, k ...key.Key) error {
	m.saved = append(m.saved, k...)
	return nil
}

type refreshCase struct {
	ID, Name string
	Given    json.RawMessage
	Expect   caseExpect
}

const realm = "https://sunbird.example/auth/realms/sunbird"

// realmKey is Keycloak's.
var realmKey = sync.OnceValue(func() *jose.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k, err := jose.NewKey(jose.RS256, "configured kid", private)
	if err != nil {
		panic(err)
	}
	return k
})

// learner is the service that knows users' roles, with those of a case.
type learner struct{ roles []device.Role }

func (l learner) Roles(context.Context, string) (device.Profile, error) {
	return device.Profile{Roles: l.roles, Name: "Ann"}, nil
}

func TestRefreshCases(t *testing.T) {
	t.Parallel()
	list := contractCases[refreshCase](t, "sunbird_refresh_api")
	if len(list) != 10 {
		t.Errorf("there are %d cases: look at the new ones", len(list))
	}
	for _, c := range list {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// given is what a case says of the token, over a good one.
type given struct {
	Header, Claims object
	SignedBy       string        `json:"signed_by"`
	Roles          []device.Role `json:"learner_roles"`
}

func (c *refreshCase) run(t *testing.T) {
	t.Helper()
	var g given
	var words string
	if json.Unmarshal(c.Given, &words) != nil {
		if err := json.Unmarshal(c.Given, &g); err != nil {
			t.Fatal(err)
		}
	}
	body := "refresh_token=" + g.token(t, words)
	if words == "field missing" {
		body = "client_id=android"
	}
	r, err := device.NewRefresher(refresherConfig(t, g.Roles))
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, func(o *Config) { o.Refresher = r })
	w := call(t, h, refreshPath, strings.NewReader(body), form)
	if want := c.Expect.status(); w.Code != want {
		t.Fatalf("%s: %d %s, want %d", c.Name, w.Code, w.Body, want)
	}
	got := decode[object](t, w)
	c.Expect.check(t, got)
	if c.Expect.Claims != nil {
		var claims object
		token := got["result"].(object)["access_token"].(string)
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil || json.Unmarshal(text, &claims) != nil {
			t.Fatalf("%s: claims are %s", c.Name, text)
		}
		like(t, "claims", c.Expect.Claims, claims)
	}
}

// token is signed as the case says, whatever its header says.
func (g *given) token(t *testing.T, words string) string {
	t.Helper()
	header := object{"alg": "RS256", "typ": "JWT", "kid": realmKey().ID()}
	claims := object{"iss": realm, "sub": "f:uuid:uuid", "aud": realm, "typ": "Offline", "iat": noon.Unix() - 1000}
	if words == "signature with another secret" || strings.HasPrefix(g.SignedBy, "base64url-decoded") {
		header = object{"alg": "HS256", "typ": "JWT"}
	}
	maps.Copy(header, g.Header)
	maps.Copy(claims, g.Claims)
	for name, value := range claims {
		switch v := value.(type) {
		case object:
			claims[name] = noon.Unix() + int64(v["$now"].(float64))
		case string:
			claims[name] = strings.Replace(v, "configured domain", realm, 1)
		}
	}
	if header["kid"] == "configured" {
		header["kid"] = realmKey().ID()
	}
	if header["alg"] == "HS256" {
		value := realmSecret
		if words != "" {
			value = "another-secret-of-at-least-32-bytes"
		}
		k, err := jose.NewImportedSecretKey(jose.HS256, "", []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		token, err := k.Sign("JWT", []byte(compact(t, claims)))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	k, err := realmKey().WithID(header["kid"].(string))
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Sign(header["typ"].(string), []byte(compact(t, claims)))
	if err != nil {
		t.Fatal(err)
	}
	if header["alg"] == "none" {
		return base64.RawURLEncoding.EncodeToString([]byte(compact(t, header))) + token[strings.IndexByte(token, '.'):]
	}
	return token
}

const realmSecret = "0123456789abcdef0123456789abcdef"

func refresherConfig(t *testing.T, roles []device.Role) device.RefresherConfig {
	t.Helper()
	jwk, err := realmKey().MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	public, err := carnet.ParseJWK(jwk)
	if err != nil {
		t.Fatal(err)
	}
	source, err := carnet.StaticKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := carnet.ImportedSecretKey("HS256", "", []byte(realmSecret))
	if err != nil {
		t.Fatal(err)
	}
	return device.RefresherConfig{
		Issuer: realm, Keys: source, Secret: shared, Signer: newRing(t, 1), Set: "mobile_device",
		OfflineValidity: 2592000 * time.Second, AccessValidity: 43200 * time.Second, Roles: learner{roles},
		Clock: func() time.Time { return noon },
	}
}
