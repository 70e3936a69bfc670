package gateway

import (
	"cmp"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/consumer"
)

// The cases in testdata/kong/cases.json say what Kong and the plugin that the
// device dialect comes from do. Each runs against a real listener, but for those
// whose need is named here.
var notAtAll = map[string]string{
	"jwt-011":        "gRPC statuses are not made",
	"jwt-038":        "Ed448 is not in the standard library",
	"jwt-050":        "there is no second plugin that authenticates",
	"jwt-051":        "there is no second plugin that authenticates",
	"jwt-052":        "there is no second plugin that authenticates",
	"jwt-053":        "there is no second plugin that authenticates",
	"jwt-054":        "there is no second plugin that authenticates",
	"jwt-057":        "there is no second plugin that authenticates",
	"acl-002":        "a credential without a consumer is refused by jwt before; see TestOrphans",
	"jwt_schema-006": "defaults are no members here; TestDefaults has them",
	"jwt_parser-014": "Ed448 is not in the standard library",
	"jwt_parser-015": "the type of a token is checked by the compiler",
}

// Where we answer otherwise than the case says, as the case itself recommends or
// leaves open.
var instead = map[string]kongExpect{
	"jwt_edge-034":       {Status: 200},
	"jwt_edge-053":       {Status: 401, BodyJSON: object{"message": "Bad token; invalid JSON"}},
	"sunbird_plugin-035": {Status: 401, BodyJSON: object{"message": "Invalid 'iss' in claims"}},
	"sunbird_plugin-037": {Status: 401, BodyJSON: object{"message": "Bad token; invalid JSON"}},
}

type kongFile struct {
	Fixtures struct {
		Consumers map[string]struct {
			Username, CustomID string
			Groups             []string
		}
		Credentials map[string]kongCredential
	}
	JWT     []kongCase  `json:"jwt"`
	Edge    []kongCase  `json:"jwt_edge"`
	Sunbird []kongCase  `json:"sunbird_plugin"`
	ACL     []kongCase  `json:"acl"`
	Schema  []kongCase  `json:"jwt_schema"`
	Parser  []kongParse `json:"jwt_parser"`

	at time.Time // that "now" is in the cases
}

type kongCredential struct {
	Consumer, Algorithm, Key, Secret string
	PublicKey                        string `json:"rsa_public_key"`
}

type kongCase struct {
	ID, Name    string
	Given       json.RawMessage
	Config      map[string]json.RawMessage `json:"plugin_config"`
	Credentials []json.RawMessage
	Request     struct {
		Method, Path string
		Tokens       []kongToken
		Sequence     []json.RawMessage
		Headers      map[string]string
	}
	Expect kongExpect
	Old    *kongExpect `json:"expect_kong_0_14"`    // with the profile of Kong 0.14
	Older  *kongExpect `json:"expect_sunbird_0_14"` // and of the plugin that Sunbird made of it
}

type kongToken struct {
	In, Name, Format string
	Token            kongBuild
}

type kongBuild struct {
	Build, Value, Prefix string
	Of                   *kongBuild
	Header               object
	Claims               object
	SignAlg              string `json:"sign_alg"`
	SignKey              string `json:"sign_key"`
}

type kongExpect struct {
	Status      any
	Valid       *bool
	Errors      map[string]string
	BodyJSON    object            `json:"body_json"`
	BodyExact   string            `json:"body_exact"`
	BodyMessage string            `json:"body_message"`
	Response    map[string]string `json:"response_headers"`
	Upstream    map[string]string `json:"upstream_headers"`
	Absent      []string          `json:"upstream_absent"`
	Keeps       []string          `json:"upstream_keeps"`
	Identity    string            `json:"rate_limit_identity"`
	Identities  []string          `json:"rate_limit_identities"`
}

func kongCases(t *testing.T) *kongFile {
	t.Helper()
	data, err := os.ReadFile("../../testdata/kong/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	file := kongFile{at: now}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return &file
}

func TestKongCases(t *testing.T) {
	t.Parallel()
	file := kongCases(t)
	echo := newEcho(t)
	run := func(list []kongCase, one func(*testing.T, *kongFile, *kongCase, string)) {
		if len(list) == 0 {
			t.Error("a section is empty")
		}
		for _, c := range list {
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				c := c // runs change it
				if why := notAtAll[c.ID]; why != "" {
					t.Skip(why)
				}
				if e, ok := instead[c.ID]; ok {
					c.Expect = e
				}
				one(t, file, &c, echo.URL)
			})
			if old := cmp.Or(c.Old, c.Older); old != nil {
				t.Run(c.ID+"/0.14", func(t *testing.T) {
					t.Parallel()
					one(t, file, c.old(old), echo.URL)
				})
			}
		}
	}
	run(file.JWT, runKong)
	run(file.Edge, runKong)
	run(file.Sunbird, runKong)
	run(file.ACL, runKongACL)
	run(file.Schema, runKongSchema)
}

// old is c with the profile of Kong 0.14. What e does not say is as it was.
func (c kongCase) old(e *kongExpect) *kongCase {
	c.Config = maps.Clone(c.Config)
	c.Config["status_profile"] = json.RawMessage(`"sunbird"`)
	c.Expect.Status, c.Expect.Response = e.Status, map[string]string{"Www-Authenticate": ""}
	if e.BodyJSON != nil {
		c.Expect.BodyJSON = e.BodyJSON
	}
	return &c
}

func runKong(t *testing.T, file *kongFile, c *kongCase, echo string) {
	cfg := c.config(t, file, echo)
	o := Options{Config: cfg}
	switch c.ID {
	case "sunbird_plugin-030": // refused where it is written
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "must be asymmetric") {
			t.Errorf("Validate() = %v, want a refusal of the symmetric prefix credential", err)
		}
		return
	case "jwt-049": // where only a store could have it; else it is refused where it is written
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "there is no consumer") {
			t.Errorf("New() = %v, want a refusal of the anonymous consumer", err)
		}
		o.Registry = &directory{}
		c.Expect.BodyMessage = strings.Replace(c.Expect.BodyMessage, "{uuid}", cfg.Services[0].Routes[0].Plugins.JWT.Anonymous, 1)
	}
	_, server := newGateway(t, o)
	switch {
	case c.ID == "sunbird_plugin-045":
		runKongDevices(t, file, server)
		return
	case c.ID == "sunbird_plugin-053":
		runKongTheft(t, file, server)
		return
	}
	file.ask(t, c, server)
}

// ask sends what the case says, with more header lines, and checks what comes back.
func (f *kongFile) ask(t *testing.T, c *kongCase, server *httptest.Server, more ...string) {
	for i, data := range c.Request.Sequence {
		var token kongToken
		if err := json.Unmarshal(data, &token); err != nil {
			t.Fatal(err)
		}
		target, lines := f.request(c, []kongToken{token})
		got := call(t, server, "GET", target, append(more, lines...)...).seen(t)
		if id := got.Header.Get("X-Credential-Identifier"); id != c.Expect.Identities[i] {
			t.Errorf("identity %q, want %q", id, c.Expect.Identities[i])
		}
	}
	if len(c.Request.Sequence) > 0 {
		return
	}
	target, lines := f.request(c, c.Request.Tokens)
	f.check(t, &c.Expect, call(t, server, c.Request.Method, target, append(more, lines...)...))
}

// config makes the one route of a case.
func (c *kongCase) config(t *testing.T, file *kongFile, echo string) Config {
	t.Helper()
	cfg := Config{Services: []Service{{Name: "s", URL: echo, Routes: []Route{{Name: "r", Paths: []string{"/"}}}}}}
	plugins := &cfg.Services[0].Routes[0].Plugins
	c.Config = c.plugins()
	plugins.JWT = decodeJWT(t, c.Config["jwt"])
	if acl := c.Config["acl"]; acl != nil {
		plugins.ACL = decodeACL(t, acl)
	}
	if rates := c.Config["rate-limiting"]; rates != nil {
		plugins.RateLimiting = &RateLimiting{}
		decodeStrict(t, rates, &struct{ Minute **int }{&plugins.RateLimiting.Minute})
	}
	if fixture, ok := strings.CutPrefix(plugins.JWT.Anonymous, "consumer:"); ok {
		plugins.JWT.Anonymous = consumer.New(file.Fixtures.Consumers[strings.TrimSuffix(fixture, ".id")].Username, "", nil).ID
	}
	cfg.Consumers = []Consumer{{Username: file.Fixtures.Consumers["anonymous"].Username}}
	for _, u := range c.credentials(t, file, plugins.JWT.IssuerPrefixes) {
		f := file.Fixtures.Consumers[u.Consumer]
		i := slices.IndexFunc(cfg.Consumers, func(have Consumer) bool { return have.Username == f.Username })
		if i < 0 {
			cfg.Consumers = append(cfg.Consumers, Consumer{Username: f.Username, CustomID: f.CustomID, Groups: f.Groups})
			i = len(cfg.Consumers) - 1
		}
		s := JWTSecret{Key: u.Key, Algorithm: u.Algorithm, PublicKey: u.PublicKey}
		if u.Secret != "" {
			s.Secret = stated(u.Secret)
		}
		cfg.Consumers[i].JWTSecrets = append(cfg.Consumers[i].JWTSecrets, s)
	}
	return cfg
}

// plugins are the options of each plugin of the case.
func (c *kongCase) plugins() map[string]json.RawMessage {
	all := maps.Clone(c.Config)
	if all["jwt"] == nil && all["acl"] == nil {
		all = map[string]json.RawMessage{"jwt": must(json.Marshal(c.Config))}
	}
	if c.ID == "sunbird_plugin-022" { // the route's groups, which the case only tells in words
		all["acl"] = json.RawMessage(`{"allow": ["contentAccess"]}`)
	}
	return all
}

// credentials are those that the case needs. A prefix without one is a mistake here.
func (c *kongCase) credentials(t *testing.T, file *kongFile, prefixes []string) (used []kongCredential) {
	t.Helper()
	for _, r := range c.Credentials {
		var name string
		var cred kongCredential
		if json.Unmarshal(r, &name) == nil {
			cred = file.credential(name)
		} else if err := json.Unmarshal(r, &cred); err != nil {
			t.Fatal(err)
		}
		used = append(used, cred)
	}
	for _, p := range prefixes {
		if !slices.ContainsFunc(used, func(u kongCredential) bool { return u.Key == p }) {
			used = append(used, file.credential(p))
		}
	}
	return used
}

// credential fills in what the fixtures leave to us.
func (f *kongFile) credential(name string) kongCredential {
	c := f.Fixtures.Credentials[name]
	if strings.HasPrefix(c.Key, "auto") || c.Key == "" {
		c.Key = "key-of-" + name
	}
	if strings.HasPrefix(c.Secret, "auto") || c.Secret == "any" {
		c.Secret = strings.Repeat("secret-of-"+name+".", 5)
	}
	if key, ok := strings.CutPrefix(c.PublicKey, "pem("); ok {
		c.PublicKey = publicPEM(f.key(strings.TrimSuffix(key, ")")))
	}
	return c
}

// key maps the keys of the fixtures on ours: two RSA keys are enough to tell apart
// the ones that a case tells apart.
func (*kongFile) key(name string) crypto.Signer {
	switch name = strings.TrimPrefix(name, "key:"); name {
	case "rs256_other", "mobilev2":
		return rsaB()
	case "es256":
		return es256()
	case "es384":
		return es384()
	case "es512":
		return es512()
	case "ed25519":
		return eddsa()
	default:
		return rsaA()
	}
}

// text replaces the macros in a value.
func (f *kongFile) text(v string) string {
	if ref, ok := strings.CutPrefix(v, "$cred:"); ok {
		name, field, _ := strings.Cut(ref, ".")
		if field == "secret" {
			return f.credential(name).Secret
		}
		return f.credential(name).Key
	}
	return strings.Replace(v, "AAAAAAAA(x8192)", strings.Repeat("A", 8*8192), 1)
}

func (f *kongFile) object(o object) object {
	out := object{}
	for k, v := range o {
		switch v := v.(type) {
		case string:
			out[k] = f.text(v)
		case map[string]any:
			out[k] = float64(f.at.Unix()) + v["$now"].(float64)
		default:
			out[k] = v
		}
	}
	return out
}

func (f *kongFile) build(b *kongBuild) string {
	switch b.Build {
	case "raw":
		return b.Value
	case "prefixed":
		return b.Prefix + f.build(b.Of)
	case "drop-signature":
		token := f.build(b.Of)
		return token[:strings.LastIndexByte(token, '.')]
	}
	var key any
	if literal, ok := strings.CutPrefix(b.SignKey, "literal:"); ok {
		key = []byte(literal)
	} else if coded, ok := strings.CutPrefix(b.SignKey, "b64decode:"); ok {
		key = must(base64.StdEncoding.DecodeString(coded))
	} else if name, ok := strings.CutPrefix(b.SignKey, "pem:"); ok {
		key = []byte(publicPEM(f.key(name)))
	} else if strings.HasPrefix(b.SignKey, "$cred:") {
		key = []byte(f.text(b.SignKey))
	} else if b.SignKey != "" {
		key = f.key(b.SignKey)
	}
	return sign(b.SignAlg, key, f.object(b.Header), f.object(b.Claims))
}

func (f *kongFile) request(c *kongCase, tokens []kongToken) (target string, lines []string) {
	query := url.Values{}
	for _, tok := range tokens {
		value := strings.Replace(tok.Format, "{token}", f.build(&tok.Token), 1)
		switch tok.In {
		case "query":
			query.Add(tok.Name, value)
		case "cookie":
			lines = append(lines, "Cookie: "+tok.Name+"="+value)
		default:
			lines = append(lines, tok.Name+": "+value)
		}
	}
	for name, value := range c.Request.Headers {
		lines = append(lines, name+": "+value)
	}
	target = c.Request.Path
	if target == "" {
		target = "/request"
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target, lines
}

func (f *kongFile) check(t *testing.T, want *kongExpect, got answer) {
	t.Helper()
	status, _ := want.Status.(float64)
	if n, ok := want.Status.(int); ok {
		status = float64(n)
	}
	if got.status != int(status) {
		t.Fatalf("status %d, body %s; want %v", got.status, got.body, want.Status)
	}
	if want.BodyJSON != nil {
		var body object
		if err := json.Unmarshal([]byte(got.body), &body); err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(want.BodyJSON, body); d != "" {
			t.Errorf("body (-want +got):\n%s", d)
		}
	}
	if want.BodyExact != "" && got.body != want.BodyExact {
		t.Errorf("body %q, want %q", got.body, want.BodyExact)
	}
	if want.BodyMessage != "" && got.message(t) != want.BodyMessage {
		t.Errorf("message %q, want %q", got.message(t), want.BodyMessage)
	}
	for name, value := range want.Response {
		if got.header.Get(name) != value {
			t.Errorf("%s %q, want %q", name, got.header.Get(name), value)
		}
	}
	if got.status != 200 {
		if ct := got.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
			t.Errorf("Content-Type %q", ct)
		}
		return
	}
	up := got.seen(t)
	for name, value := range want.Upstream {
		if up.Header.Get(name) != f.text(value) {
			t.Errorf("upstream got %s %q, want %q", name, up.Header.Get(name), f.text(value))
		}
	}
	for _, name := range want.Absent {
		if v := up.Header.Values(name); len(v) > 0 {
			t.Errorf("upstream got %s %q, want none", name, v)
		}
	}
	for _, name := range want.Keeps {
		if up.Header.Get(name) == "" {
			t.Errorf("upstream did not get %s", name)
		}
	}
	if id := up.Header.Get("X-Credential-Identifier"); strings.HasPrefix(want.Identity, "mobilev2-") && id != want.Identity {
		t.Errorf("identity %q, want %q", id, want.Identity)
	}
}

func runKongACL(t *testing.T, _ *kongFile, c *kongCase, echo string) {
	acl := decodeACL(t, must(json.Marshal(c.Config)))
	cfg := oneRoute(echo, Plugins{ACL: acl})
	if c.Expect.Valid != nil {
		if err := cfg.Validate(); (err == nil) != *c.Expect.Valid {
			t.Errorf("Validate() = %v", err)
		}
		return
	}
	lines := []string{"X-Consumer-Groups: spoofed"}
	var given string
	if err := json.Unmarshal(c.Given, &given); err != nil {
		t.Fatal(err)
	}
	plugins := &cfg.Services[0].Routes[0].Plugins
	if groups, ok := strings.CutPrefix(given, "groups: "); ok {
		cfg.Consumers[0].Groups = strings.Split(groups, ", ")
		plugins.JWT = &JWT{}
		lines = append(lines, "Authorization: Bearer "+hs(appSecret, "app-key"))
	} else if strings.HasPrefix(given, "anonymous") {
		cfg.Consumers = append(cfg.Consumers, Consumer{Username: "guest"})
		plugins.JWT = &JWT{Anonymous: "guest"}
	}
	_, server := newGateway(t, Options{Config: cfg})
	(&kongFile{}).check(t, &c.Expect, call(t, server, "GET", "/demo", lines...))
}

func runKongSchema(t *testing.T, _ *kongFile, c *kongCase, echo string) {
	if c.ID == "jwt_schema-007" {
		cfg := oneRoute(echo, Plugins{})
		cfg.Consumers[0].Plugins.JWT = &JWT{}
		if err := cfg.Validate(); err == nil {
			t.Error("a consumer's jwt was taken")
		}
		return
	}
	cfg := oneRoute(echo, Plugins{JWT: decodeJWT(t, must(json.Marshal(c.Config)))})
	err := cfg.Validate()
	if (err == nil) != *c.Expect.Valid {
		t.Errorf("Validate() = %v, want valid = %v", err, *c.Expect.Valid)
	}
	for field, text := range c.Expect.Errors {
		if err == nil || !strings.Contains(err.Error(), "."+field) || !strings.Contains(err.Error(), text) {
			t.Errorf("Validate() = %v, want %s: %s", err, field, text)
		}
	}
}

// decodeJWT reads a plugin's options as Kong names them, and no others.
func decodeJWT(t *testing.T, data []byte) *JWT {
	t.Helper()
	var j JWT
	decodeStrict(t, data, &struct {
		Prefixes  *[]string `json:"issuer_prefixes"`
		Kid       *bool     `json:"kid_lookup"`
		Profile   *string   `json:"status_profile"`
		Key       *string   `json:"key_claim_name"`
		Base64    *bool     `json:"secret_is_base64"`
		Anonymous *string   `json:"anonymous"`
		Query     *[]string `json:"uri_param_names"`
		Cookies   *[]string `json:"cookie_names"`
		Headers   *[]string `json:"header_names"`
		Claims    *[]string `json:"claims_to_verify"`
		Max       *int      `json:"maximum_expiration"`
		Realm     *string   `json:"realm"`
		Preflight **bool    `json:"run_on_preflight"`
	}{
		&j.IssuerPrefixes, &j.KidLookup, &j.StatusProfile, &j.KeyClaimName, &j.SecretIsBase64, &j.Anonymous,
		&j.QueryNames, &j.CookieNames, &j.HeaderNames, &j.ClaimsToVerify, &j.MaximumExpiration, &j.Realm, &j.RunOnPreflight,
	})
	return &j
}

func decodeACL(t *testing.T, data []byte) *ACL {
	t.Helper()
	var a ACL
	decodeStrict(t, data, &struct {
		Allow, Deny *[]string
		Hide        *bool `json:"hide_groups_header"`
	}{&a.Allow, &a.Deny, &a.HideGroupsHeader})
	return &a
}

func decodeStrict(t *testing.T, data []byte, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}
