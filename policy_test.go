package carnet

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	good := Policy{Issuer: testIssuer, Audience: testAudience}
	for name, tc := range map[string]struct {
		edit func(*Policy)
		want string // "": valid
	}{
		"good":                     {func(*Policy) {}, ""},
		"zero":                     {func(p *Policy) { *p = Policy{} }, "names no issuer"},
		"signature only":           {func(p *Policy) { *p = SignatureOnly() }, ""},
		"access tokens":            {func(p *Policy) { *p = AccessTokens(testIssuer, testAudience) }, ""},
		"access tokens of nobody":  {func(p *Policy) { *p = AccessTokens("", testAudience) }, "names no issuer"},
		"access tokens for nobody": {func(p *Policy) { *p = AccessTokens(testIssuer, "") }, "names no audience"},
		"no issuer":                {func(p *Policy) { p.Issuer = "" }, "names no issuer"},
		"any issuer":               {func(p *Policy) { p.Issuer, p.AnyIssuer = "", true }, ""},
		"issuer and any":           {func(p *Policy) { p.AnyIssuer = true }, "takes any"},
		"no audience":              {func(p *Policy) { p.Audience = "" }, "names no audience"},
		"any audience":             {func(p *Policy) { p.Audience, p.AnyAudience = "", true }, ""},
		"audience and any":         {func(p *Policy) { p.AnyAudience = true }, "takes any"},
		"leeway of 60 s":           {func(p *Policy) { p.Leeway = 60 * time.Second }, ""},
		"leeway of 61 s":           {func(p *Policy) { p.Leeway = 61 * time.Second }, "leeway 1m1s is not between"},
		"leeway just too long":     {func(p *Policy) { p.Leeway = 60*time.Second + 1 }, "is not between"},
		"negative leeway":          {func(p *Policy) { p.Leeway = -1 }, "is not between"},
		"lifetime":                 {func(p *Policy) { p.MaxLifetime = time.Hour }, ""},
		"negative lifetime":        {func(p *Policy) { p.MaxLifetime = -1 }, "cannot be negative"},
		"lifetime without expiry":  {func(p *Policy) { p.MaxLifetime, p.NoExpiry = 1, true }, "needs an expiry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := good
			tc.edit(&p)
			err := p.Validate()
			if (err == nil) != (tc.want == "") || err != nil && (!errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Validate() error = %v, want %q", err, tc.want)
			}
			_, err = NewVerifier(VerifierConfig{Keys: mustStatic(t, es256(t)), Policy: p})
			if (err == nil) != (tc.want == "") {
				t.Errorf("NewVerifier() error = %v", err)
			}
		})
	}
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	const (
		minute = 60 * time.Second
		now    = 1_700_000_000
	)
	base := Policy{Issuer: testIssuer, Audience: testAudience}
	for name, tc := range map[string]struct {
		edit   func(*Policy)
		typ    string
		claims string
		want   error
	}{
		"good":                    {nil, "", goodClaims, nil},
		"zero policy":             {func(p *Policy) { *p = Policy{} }, "", goodClaims, ErrPolicy},
		"signature only":          {func(p *Policy) { *p = SignatureOnly() }, "", `{}`, nil},
		"signature only, expired": {func(p *Policy) { *p = SignatureOnly() }, "", claimsWith("exp", "1"), nil},

		"another issuer":           {func(p *Policy) { p.Issuer = "x" }, "", goodClaims, ErrIssuer},
		"any issuer":               {func(p *Policy) { p.Issuer, p.AnyIssuer = "", true }, "", claimsWith("iss", `"x"`), nil},
		"any issuer, none":         {func(p *Policy) { p.Issuer, p.AnyIssuer = "", true }, "", claimsWith("iss", ""), nil},
		"another audience":         {func(p *Policy) { p.Audience = "x" }, "", goodClaims, ErrAudience},
		"one of several audiences": {nil, "", claimsWith("aud", `["x","https://api.example"]`), nil},
		"any audience":             {func(p *Policy) { p.Audience, p.AnyAudience = "", true }, "", claimsWith("aud", `"x"`), nil},
		"any audience, none":       {func(p *Policy) { p.Audience, p.AnyAudience = "", true }, "", claimsWith("aud", ""), nil},

		"type not looked at":      {nil, "anything", goodClaims, nil},
		"type":                    {func(p *Policy) { p.Type = "at+jwt" }, "at+jwt", goodClaims, nil},
		"type in full":            {func(p *Policy) { p.Type = "at+jwt" }, "application/at+jwt", goodClaims, nil},
		"type wanted in full":     {func(p *Policy) { p.Type = "application/at+jwt" }, "at+jwt", goodClaims, nil},
		"type in capitals":        {func(p *Policy) { p.Type = "at+jwt" }, "Application/AT+JWT", goodClaims, nil},
		"another type":            {func(p *Policy) { p.Type = "at+jwt" }, "JWT", goodClaims, ErrType},
		"no type":                 {func(p *Policy) { p.Type = "at+jwt" }, "", goodClaims, ErrType},
		"the prefix alone":        {func(p *Policy) { p.Type = "at+jwt" }, "application/", goodClaims, ErrType},
		"the prefix twice":        {func(p *Policy) { p.Type = "at+jwt" }, "application/application/at+jwt", goodClaims, ErrType},
		"a type that only begins": {func(p *Policy) { p.Type = "at+jwt" }, "at+jwt+x", goodClaims, ErrType},

		"expires now":              {nil, "", claimsWith("exp", "1700000000"), ErrExpired},
		"expires in a millisecond": {nil, "", claimsWith("exp", "1700000000.001"), nil},
		"expired within leeway":    {func(p *Policy) { p.Leeway = minute }, "", claimsWith("exp", "1699999941"), nil},
		"expired at leeway":        {func(p *Policy) { p.Leeway = minute }, "", claimsWith("exp", "1699999940"), ErrExpired},
		"no expiry":                {nil, "", claimsWith("exp", ""), ErrClaim},
		"no expiry wanted":         {func(p *Policy) { p.NoExpiry = true }, "", claimsWith("exp", ""), nil},
		"no expiry wanted, over":   {func(p *Policy) { p.NoExpiry = true }, "", claimsWith("exp", "1"), ErrExpired},
		"no expiry wanted, string": {func(p *Policy) { p.NoExpiry = true }, "", claimsWith("exp", `"never"`), ErrClaim},
		"no expiry wanted, null":   {func(p *Policy) { p.NoExpiry = true }, "", claimsWith("exp", `null`), ErrClaim},

		"valid from now":              {nil, "", claimsWith("nbf", "1700000000"), nil},
		"valid in a millisecond":      {nil, "", claimsWith("nbf", "1700000000.001"), ErrNotYetValid},
		"valid from within leeway":    {func(p *Policy) { p.Leeway = minute }, "", claimsWith("nbf", "1700000060"), nil},
		"valid from behind leeway":    {func(p *Policy) { p.Leeway = minute }, "", claimsWith("nbf", "1700000061"), ErrNotYetValid},
		"issued in the future, free":  {nil, "", claimsWith("iat", "1700000800"), nil},
		"issued never, free":          {nil, "", claimsWith("iat", ""), nil},
		"issued at no date, free":     {nil, "", claimsWith("iat", `"x"`), ErrClaim},
		"lifetime":                    {func(p *Policy) { p.MaxLifetime = 15 * minute }, "", goodClaims, nil},
		"lifetime too long":           {func(p *Policy) { p.MaxLifetime = 15*minute - time.Millisecond }, "", goodClaims, ErrLifetime},
		"lifetime, no iat":            {func(p *Policy) { p.MaxLifetime = time.Hour }, "", claimsWith("iat", ""), ErrClaim},
		"lifetime, iat ahead":         {func(p *Policy) { p.MaxLifetime = time.Hour }, "", claimsWith("iat", "1700000001"), ErrNotYetValid},
		"lifetime, iat within leeway": {func(p *Policy) { p.MaxLifetime, p.Leeway = time.Hour, minute }, "", claimsWith("iat", "1700000060"), nil},
		"lifetime, iat behind leeway": {func(p *Policy) { p.MaxLifetime, p.Leeway = time.Hour, minute }, "", claimsWith("iat", "1700000061"), ErrNotYetValid},

		"required":                {func(p *Policy) { p.Required = []string{"sub", "jti"} }, "", goodClaims, nil},
		"required, missing":       {func(p *Policy) { p.Required = []string{"sub", "device"} }, "", goodClaims, ErrClaim},
		"required, null":          {func(p *Policy) { p.Required = []string{"device"} }, "", claimsWith("device", "null"), ErrClaim},
		"required, false":         {func(p *Policy) { p.Required = []string{"device"} }, "", claimsWith("device", "false"), nil},
		"scopes":                  {func(p *Policy) { p.Scopes = []string{"orders:write", "orders:read"} }, "", goodClaims, nil},
		"scopes, one missing":     {func(p *Policy) { p.Scopes = []string{"orders:read", "admin"} }, "", goodClaims, ErrScope},
		"scopes, a part":          {func(p *Policy) { p.Scopes = []string{"orders"} }, "", goodClaims, ErrScope},
		"scopes, two in one":      {func(p *Policy) { p.Scopes = []string{"orders:read orders:write"} }, "", goodClaims, ErrScope},
		"scopes, the empty one":   {func(p *Policy) { p.Scopes = []string{""} }, "", claimsWith("scope", `"a  b"`), ErrScope},
		"issuer before the times": {nil, "", claimsWith("iss", `"x"`, "exp", "1"), ErrIssuer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := base
			if tc.edit != nil {
				tc.edit(&p)
			}
			k := es256(t)
			v := mustVerifier(t, VerifierConfig{Keys: mustStatic(t, k), Policy: SignatureOnly()})
			token, err := v.Verify(t.Context(), mustSign(t, k, tc.typ, tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(token, time.Unix(now, 0)); !errors.Is(err, tc.want) {
				t.Errorf("Check() error = %v, want %v", err, tc.want)
			}
		})
	}
}

// TestPolicyNamesTheClaim: a claim error says which claim, for the log.
func TestPolicyNamesTheClaim(t *testing.T) {
	t.Parallel()
	k := es256(t)
	v := mustVerifier(t, VerifierConfig{Keys: mustStatic(t, k), Policy: AccessTokens(testIssuer, testAudience), Clock: atTestNow})
	for claims, want := range map[string]ClaimError{
		claimsWith("iss", ""):       {"iss", "is missing"},
		claimsWith("iss", "1"):      {"iss", "is not a string"},
		claimsWith("aud", ""):       {"aud", "is missing"},
		claimsWith("aud", "1"):      {"aud", "is neither a string nor a list of strings"},
		claimsWith("exp", ""):       {"exp", "is missing"},
		claimsWith("exp", `"x"`):    {"exp", "is not a NumericDate"},
		claimsWith("nbf", `"x"`):    {"nbf", "is not a NumericDate"},
		claimsWith("iat", `"x"`):    {"iat", "is not a NumericDate"},
		claimsWith("client_id", ""): {"client_id", "is missing"},
		claimsWith("scope", "1"):    {"scope", "is not a string"},
	} {
		_, err := v.Verify(t.Context(), mustSign(t, k, "at+jwt", claims))
		got, ok := errors.AsType[*ClaimError](err)
		if !ok || *got != want || err.Error() != "claim "+want.Claim+" "+want.Reason {
			t.Errorf("%s: error = %v, want %v", claims, err, want)
		}
	}
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate
func TestPolicyCheckDoesNotAllocate(t *testing.T) {
	k := es256(t)
	p := AccessTokens(testIssuer, testAudience)
	p.Leeway, p.MaxLifetime, p.Scopes = time.Minute, time.Hour, []string{"orders:read", "orders:write"}
	v := mustVerifier(t, VerifierConfig{Keys: mustStatic(t, k), Policy: p, Clock: atTestNow})
	token, err := v.Verify(t.Context(), mustSign(t, k, "at+jwt", goodClaims))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if p.Check(token, testNow) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
