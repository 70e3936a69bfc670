package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

func TestProfilesAreComplete(t *testing.T) {
	t.Parallel()
	own := map[verdict]bool{claimRefused: true, tooFarAhead: true, noConsumer: true}
	for name, p := range profiles {
		for v := admitted + 1; v < numVerdicts; v++ {
			out := p.answers[v]
			refusal := out.status == 401 || out.status == 403 || v == unavailable && out.status == 503
			if !refusal || (out.message == "") != own[v] {
				t.Errorf("%s has %d %q for verdict %d", name, out.status, out.message, v)
			}
		}
	}
}

func TestVerdictOf(t *testing.T) {
	t.Parallel()
	good := hs("s", "k")
	for name, tc := range map[string]struct {
		token string
		err   error
		want  verdict
	}{
		"malformed":              {"x", carnet.ErrMalformed, badJSON},
		"claim of another type":  {good, &carnet.ClaimError{Claim: "sub"}, badClaims},
		"unknown key":            {good, carnet.ErrUnknownKey, noCredential},
		"unknown key, no issuer": {sign("HS256", []byte("s"), object{"alg": "HS256"}, object{}), carnet.ErrUnknownKey, noIssuer},
		"unknown key, bad":       {hs("s", "a\nb"), carnet.ErrUnknownKey, badIssuer},
		"algorithm":              {good, carnet.ErrAlgorithm, wrongAlg},
		"signature":              {good, carnet.ErrSignature, wrongSignature},
		"revoked":                {good, carnet.ErrRevoked, revoked},
		"keys out of reach":      {good, fmt.Errorf("%w: x", carnet.ErrKeysUnavailable), unavailable},
		"nothing to verify with": {good, consumer.ErrNoMaterial, noMaterial},
		"anything else":          {good, errors.New("x"), policyRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := verdictOf(tc.token, "iss", tc.err); got != tc.want {
				t.Errorf("verdictOf = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	const alg = `{"alg":"HS256"}`
	token := func(header, claims, sig string) string { return b64(header) + "." + b64(claims) + "." + sig }
	for name, tc := range map[string]struct {
		token string
		want  verdict
	}{
		"empty":                 {"", badJSON},
		"one part":              {"a", badJSON},
		"two parts":             {"a.b", badJSON},
		"too long":              {strings.Repeat(".", 16<<10+1), badJSON},
		"header is no base64":   {"*." + b64("{}") + ".AA", badJSON},
		"padded header":         {b64(alg) + "=." + b64("{}") + ".AA", badJSON},
		"header is no JSON":     {token("{", "{}", "AA"), badJSON},
		"header is a number":    {token("1", "{}", "AA"), badJSON},
		"claims are no base64":  {b64(alg) + ".*.AA", badJSON},
		"claims are no JSON":    {token(alg, "{", "AA"), badJSON},
		"no alg":                {token("{}", "{}", "AA"), badAlg},
		"alg is a number":       {token(`{"alg":1}`, "{}", "AA"), badAlg},
		"alg none":              {token(`{"alg":"none"}`, "{}", ""), badAlg},
		"alg in another case":   {token(`{"alg":"hs256"}`, "{}", "AA"), badAlg},
		"claims are null":       {token(alg, "null", "AA"), badClaims},
		"claims are an array":   {token(alg, "[]", "AA"), badClaims},
		"a claim twice":         {token(alg, `{"iss":"a","iss":"b"}`, "AA"), badClaims},
		"no signature":          {token(alg, "{}", ""), badSignature},
		"signature is none":     {token(alg, "{}", "*"), badSignature},
		"a fourth part":         {token(alg, "{}", "AA.AA"), badSignature},
		"no issuer":             {token(alg, "{}", "AA"), noIssuer},
		"issuer in other case":  {token(alg, `{"ISS":"a"}`, "AA"), noIssuer},
		"issuer empty":          {token(alg, `{"iss":""}`, "AA"), badIssuer},
		"issuer is null":        {token(alg, `{"iss":null}`, "AA"), badIssuer},
		"issuer is a number":    {token(alg, `{"iss":1}`, "AA"), badIssuer},
		"issuer is an array":    {token(alg, `{"iss":["a"]}`, "AA"), badIssuer},
		"issuer with a newline": {token(alg, `{"iss":"a\nb"}`, "AA"), badIssuer},
		"issuer not ASCII":      {token(alg, `{"iss":"é"}`, "AA"), badIssuer},
		"stray bits":            {token(alg, `{"iss":"a"}`, "") + "AB", wrongSignature},
		"nothing Kong minds":    {token(alg, `{"iss":"a"}`, "AA"), badClaims},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := diagnose(tc.token, "iss"); got != tc.want {
				t.Errorf("diagnose = %v, want %v", got, tc.want)
			}
		})
	}
}
