package gateway

import (
	"strings"
	"testing"
)

func TestValidateJWT(t *testing.T) {
	t.Parallel()
	many := map[string][]string{}
	for i := range 65 {
		many[strings.Repeat("x", i+1)] = nil
	}
	for name, tc := range map[string]struct {
		jwt  JWT
		want string // "": it is taken
	}{
		"all of it": {JWT{
			KeyClaimName: "iss", SecretIsBase64: true, KidLookup: true, Anonymous: "guest", AnonymousOn: "missing_only", StatusProfile: "sunbird",
			Leeway: 600, Audience: []string{"a"}, RequiredClaims: map[string][]string{"tenant": {"x"}, "email": nil},
			ClaimHeaders: map[string]string{"sub": "X-User", "tenant": "X-Tenant"}, HideCredentials: true,
		}, ""},
		"another claim":            {JWT{KeyClaimName: "kid"}, ""},
		"another claim, devices":   {JWT{KeyClaimName: "kid", IssuerPrefixes: []string{"mobilev2"}}, "key_claim_name: must be iss"},
		"another claim, kid":       {JWT{KeyClaimName: "sub", KidLookup: true}, "key_claim_name: must be iss"},
		"profile by name":          {JWT{StatusProfile: "kong3"}, ""},
		"another profile":          {JWT{StatusProfile: "kong2"}, `status_profile: "kong2": expected one of: kong3, sunbird`},
		"claim with a blank":       {JWT{KeyClaimName: "a b"}, "key_claim_name: must be"},
		"anonymous with a break":   {JWT{Anonymous: "a\nb"}, "anonymous: write"},
		"anonymous_on of nobody":   {JWT{AnonymousOn: "any"}, "anonymous_on: needs anonymous"},
		"anonymous_on never":       {JWT{Anonymous: "a", AnonymousOn: "never"}, `anonymous_on: "never": expected one of: any, missing_only`},
		"leeway negative":          {JWT{Leeway: -1}, "leeway: value should be between 0 and 600"},
		"leeway too long":          {JWT{Leeway: 601}, "leeway: value should be between 0 and 600"},
		"empty audience":           {JWT{Audience: []string{""}}, "audience[0]: must be"},
		"too many claims":          {JWT{RequiredClaims: many}, "required_claims: must be at most 64"},
		"claim without a name":     {JWT{RequiredClaims: map[string][]string{"": nil}}, "required_claims.: a claim must be"},
		"asked for twice":          {JWT{ClaimsToVerify: []string{"exp"}, RequiredClaims: map[string][]string{"exp": nil}}, "required_claims.exp: claims_to_verify asks for it"},
		"audience twice":           {JWT{Audience: []string{"a"}, RequiredClaims: map[string][]string{"aud": nil}}, "required_claims.aud: audience asks for it"},
		"a header that is ours":    {JWT{ClaimHeaders: map[string]string{"sub": "X-Consumer-Username"}}, `claim_headers.sub: "X-Consumer-Username" cannot carry`},
		"a header that is no name": {JWT{ClaimHeaders: map[string]string{"sub": "X User"}}, "claim_headers.sub: "},
		"the token's own header":   {JWT{HeaderNames: []string{"x-token"}, ClaimHeaders: map[string]string{"sub": "X-Token"}}, "claim_headers.sub: \"X-Token\" is where the token stands"},
		"one header for two":       {JWT{ClaimHeaders: map[string]string{"a": "X-User", "b": "x_user"}}, `claim_headers.b: "x_user" tells the claim a`},
		"a claim that is no name":  {JWT{ClaimHeaders: map[string]string{"a b": "X-User"}}, "claim_headers.a b: a claim must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute("http://h", Plugins{JWT: &tc.jwt})
			err := cfg.Validate()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestValidateACL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		acl  ACL
		want string
	}{
		"allow":             {ACL{Allow: []string{"a"}, AlwaysUseAuthenticatedGroups: true}, ""},
		"whitelist":         {ACL{Whitelist: []string{"a"}}, ""},
		"blacklist":         {ACL{Blacklist: []string{"a"}}, ""},
		"nothing":           {ACL{}, "acl: set exactly one of"},
		"both":              {ACL{Allow: []string{"a"}, Blacklist: []string{"b"}}, "acl: set exactly one of"},
		"by both names":     {ACL{Allow: []string{"a"}, Whitelist: []string{"a"}}, "acl.whitelist: is the old name of allow"},
		"denied by both":    {ACL{Deny: []string{"a"}, Blacklist: []string{"a"}}, "acl.blacklist: is the old name of deny"},
		"group with commas": {ACL{Whitelist: []string{"a,b"}}, "acl.whitelist[0]: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute("http://h", Plugins{ACL: &tc.acl})
			err := cfg.Validate()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate() = %v, want %q", err, tc.want)
			}
		})
	}
}
