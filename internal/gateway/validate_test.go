package gateway

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// full is a valid configuration with everything in it.
func full() Config {
	yes := true
	c := Config{
		Cache:     1 << 20,
		Plugins:   Plugins{JWT: &JWT{}},
		Consumers: testConsumers(),
		Services: []Service{
			{Name: "a", URL: "http://a:80/base", Routes: []Route{
				{Name: "a1", Hosts: []string{"example.com", "*.example.com", "[::1]"}, Paths: []string{"/a", "/b/"}, Methods: []string{"GET"}, StripPath: &yes},
				{Name: "a2", Paths: []string{"/a"}, Plugins: Plugins{
					JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}, ClaimsToVerify: []string{"exp", "nbf"}, MaximumExpiration: 31536000, Realm: "r s"},
					ACL: &ACL{Allow: []string{"staff"}},
				}},
			}},
			{Name: "b", URL: "internal://echo", ConnectTimeout: time.Second, ReadTimeout: time.Minute, Routes: []Route{{Name: "b1", Methods: []string{"POST"}}}},
		},
	}
	c.Consumers[1].JWTSecrets = append(c.Consumers[1].JWTSecrets, JWTSecret{KeySet: "access"}, JWTSecret{Key: "set", KeySet: "sts"})
	return c
}

// fields are the members that an error is about.
func fields(t *testing.T, err error) []string {
	t.Helper()
	var out []string
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v is not a joined error", err)
	}
	for _, e := range joined.Unwrap() {
		f, ok := errors.AsType[*fault.Error](e)
		if !ok || f.Kind != fault.Invalid || f.Msg == "" {
			t.Errorf("%v is not a fault that can be shown", e)
			continue
		}
		out = append(out, f.Field)
	}
	slices.Sort(out)
	return out
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{"empty": {}, "full": full()} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	jwt := func(c *Config) *JWT { return c.Services[0].Routes[1].Plugins.JWT }
	for name, tc := range map[string]struct {
		edit func(*Config)
		want []string
	}{
		"negative cache":          {func(c *Config) { c.Cache = -1 }, []string{"cache"}},
		"service without name":    {func(c *Config) { c.Services[0].Name = "" }, []string{"services[0].name"}},
		"service twice":           {func(c *Config) { c.Services[1].Name = "a" }, []string{"services[1].name"}},
		"route twice":             {func(c *Config) { c.Services[1].Routes[0].Name = "a1" }, []string{"services[1].routes[0].name"}},
		"url without scheme":      {func(c *Config) { c.Services[0].URL = "a:80" }, []string{"services[0].url"}},
		"url of another scheme":   {func(c *Config) { c.Services[0].URL = "ftp://a" }, []string{"services[0].url"}},
		"url without host":        {func(c *Config) { c.Services[0].URL = "http:///x" }, []string{"services[0].url"}},
		"url with query":          {func(c *Config) { c.Services[0].URL = "http://a/?x" }, []string{"services[0].url"}},
		"url with user":           {func(c *Config) { c.Services[0].URL = "http://u:p@a/" }, []string{"services[0].url"}},
		"url that is none":        {func(c *Config) { c.Services[0].URL = "http://a:b:c/" }, []string{"services[0].url"}},
		"url with ambiguous path": {func(c *Config) { c.Services[0].URL = "http://a/x%2fy" }, []string{"services[0].url"}},
		"internal with path":      {func(c *Config) { c.Services[1].URL = "internal://echo/x" }, []string{"services[1].url"}},
		"negative connect":        {func(c *Config) { c.Services[0].ConnectTimeout = -1 }, []string{"services[0].connect_timeout"}},
		"negative read":           {func(c *Config) { c.Services[0].ReadTimeout = -1 }, []string{"services[0].read_timeout"}},
		"route without a match":   {func(c *Config) { c.Services[1].Routes[0].Methods = nil }, []string{"services[1].routes[0]"}},
		"host with bad port":      {func(c *Config) { c.Services[0].Routes[0].Hosts[0] = "example.com:http" }, []string{"services[0].routes[0].hosts[0]"}},
		"host with inner star":    {func(c *Config) { c.Services[0].Routes[0].Hosts[1] = "a.*.com" }, []string{"services[0].routes[0].hosts[1]"}},
		"host that is a star":     {func(c *Config) { c.Services[0].Routes[0].Hosts[1] = "*" }, []string{"services[0].routes[0].hosts[1]"}},
		"host of no address":      {func(c *Config) { c.Services[0].Routes[0].Hosts[2] = "[::1" }, []string{"services[0].routes[0].hosts[2]"}},
		"method in lower case":    {func(c *Config) { c.Services[0].Routes[0].Methods[0] = "get" }, []string{"services[0].routes[0].methods[0]"}},
		"path without slash":      {func(c *Config) { c.Services[0].Routes[1].Paths[0] = "a" }, []string{"services[0].routes[1].paths[0]"}},
		"path not normal":         {func(c *Config) { c.Services[0].Routes[1].Paths[0] = "/%61" }, []string{"services[0].routes[1].paths[0]"}},
		"path with dots":          {func(c *Config) { c.Services[0].Routes[1].Paths[0] = "/a/../b" }, []string{"services[0].routes[1].paths[0]"}},
		"same match":              {func(c *Config) { c.Services[1].Routes[0] = Route{Name: "x", Paths: []string{"/a/"}} }, []string{"services[1].routes[0]"}},
		"acl without groups":      {func(c *Config) { c.Services[0].Routes[1].Plugins.ACL = &ACL{} }, []string{"services[0].routes[1].plugins.acl"}},
		"acl with both":           {func(c *Config) { c.Services[0].Routes[1].Plugins.ACL.Deny = []string{"x"} }, []string{"services[0].routes[1].plugins.acl"}},
		"group with comma":        {func(c *Config) { c.Services[0].Routes[1].Plugins.ACL.Allow[0] = "a,b" }, []string{"services[0].routes[1].plugins.acl.allow[0]"}},
		"prefix with dash":        {func(c *Config) { jwt(c).IssuerPrefixes[0] = "mobile-v2" }, []string{"services[0].routes[1].plugins.jwt.issuer_prefixes[0]"}},
		"prefix with a secret":    {func(c *Config) { c.Consumers[0].JWTSecrets[0].Key = "x"; jwt(c).IssuerPrefixes[0] = "x" }, []string{"services[0].routes[1].plugins.jwt.issuer_prefixes[0]"}},
		"key that is a device":    {func(c *Config) { c.Consumers[0].JWTSecrets[0].Key = "mobilev2-a-1591600000000" }, []string{"services[0].routes[1].plugins.jwt.issuer_prefixes[0]"}},
		"claim that is none":      {func(c *Config) { jwt(c).ClaimsToVerify[1] = "iat" }, []string{"services[0].routes[1].plugins.jwt.claims_to_verify[1]"}},
		"expiration without exp":  {func(c *Config) { jwt(c).ClaimsToVerify = nil }, []string{"services[0].routes[1].plugins.jwt.maximum_expiration"}},
		"expiration over a year":  {func(c *Config) { jwt(c).MaximumExpiration++ }, []string{"services[0].routes[1].plugins.jwt.maximum_expiration"}},
		"expiration negative":     {func(c *Config) { jwt(c).MaximumExpiration = -1 }, []string{"services[0].routes[1].plugins.jwt.maximum_expiration"}},
		"realm with quote":        {func(c *Config) { jwt(c).Realm = `a"b` }, []string{"services[0].routes[1].plugins.jwt.realm"}},
		"header name with blank":  {func(c *Config) { jwt(c).HeaderNames = []string{"a b"} }, []string{"services[0].routes[1].plugins.jwt.header_names[0]"}},
		"global plugin":           {func(c *Config) { c.Plugins.JWT.CookieNames = []string{""} }, []string{"plugins.jwt.cookie_names[0]"}},
		"service plugin":          {func(c *Config) { c.Services[1].Plugins.ACL = &ACL{} }, []string{"services[1].plugins.acl"}},
		"consumer without name":   {func(c *Config) { c.Consumers[0].Username = "" }, []string{"consumers[0].username"}},
		"consumer twice":          {func(c *Config) { c.Consumers[1].Username = "app" }, []string{"consumers[1].username"}},
		"newline in a name":       {func(c *Config) { c.Consumers[0].Username = "a\nb" }, []string{"consumers[0].username"}},
		"custom id twice":         {func(c *Config) { c.Consumers[1].CustomID = "app-1" }, []string{"consumers[1].custom_id"}},
		"key twice":               {func(c *Config) { c.Consumers[1].JWTSecrets[2].Key = "app-key" }, []string{"consumers[1].jwt_secrets[2].key"}},
		"no key":                  {func(c *Config) { c.Consumers[0].JWTSecrets[0].Key = "" }, []string{"consumers[0].jwt_secrets[0].key"}},
		"no material":             {func(c *Config) { c.Consumers[0].JWTSecrets[0].Secret = Secret{} }, []string{"consumers[0].jwt_secrets[0]"}},
		"two materials":           {func(c *Config) { c.Consumers[0].JWTSecrets[0].KeySet = "x" }, []string{"consumers[0].jwt_secrets[0]"}},
		"unknown algorithm":       {func(c *Config) { c.Consumers[0].JWTSecrets[0].Algorithm = "none" }, []string{"consumers[0].jwt_secrets[0].algorithm"}},
		"secret for RS256":        {func(c *Config) { c.Consumers[0].JWTSecrets[0].Algorithm = "RS256" }, []string{"consumers[0].jwt_secrets[0].algorithm"}},
		"public key for HS256":    {func(c *Config) { c.Consumers[1].JWTSecrets[0].Algorithm = "HS256" }, []string{"consumers[1].jwt_secrets[0].algorithm"}},
		"public key for ES256":    {func(c *Config) { c.Consumers[1].JWTSecrets[0].Algorithm = "ES256" }, []string{"consumers[1].jwt_secrets[0].rsa_public_key"}},
		"public key that is none": {func(c *Config) { c.Consumers[1].JWTSecrets[0].PublicKey = "x" }, []string{"consumers[1].jwt_secrets[0].rsa_public_key"}},
		"private key":             {func(c *Config) { c.Consumers[1].JWTSecrets[0].PublicKey = "-----BEGIN PRIVATE KEY-----" }, []string{"consumers[1].jwt_secrets[0].rsa_public_key"}},
		"algorithm of a key set":  {func(c *Config) { c.Consumers[1].JWTSecrets[1].Algorithm = "RS256" }, []string{"consumers[1].jwt_secrets[1].algorithm"}},
		"all at once": {
			func(c *Config) { c.Cache = -1; c.Services[0].URL = ""; c.Consumers[0].Username = "" },
			[]string{"cache", "consumers[0].username", "services[0].url"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := full()
			tc.edit(&c)
			if d := cmp.Diff(tc.want, fields(t, c.Validate())); d != "" {
				t.Errorf("fields at fault (-want +got):\n%s\n%v", d, c.Validate())
			}
		})
	}
}

func TestValidateShowsNoSecret(t *testing.T) {
	t.Parallel()
	c := full()
	c.Consumers[0].JWTSecrets[0].Algorithm = "RS256"
	if err := c.Validate(); strings.Contains(err.Error(), appSecret) {
		t.Errorf("the error shows the secret: %v", err)
	}
}
