package carnet

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// refusal is a token that must not pass, and why it is refused.
type refusal struct {
	name   string
	key    string // of forger.keys; "": es
	header string // "": the key's own
	claims string // "": goodClaims
	edit   func(parts []string) string
	want   error
}

// forger signs what [jose.Key.Sign] would not. The keys in trusted verify.
type forger struct {
	keys    map[string]*jose.Key
	trusted []string
}

func newForger(tb testing.TB) forger {
	tb.Helper()
	return forger{
		trusted: []string{"es", "es-other", "es384", "es512", "ed", "rs", "ps"},
		keys: map[string]*jose.Key{
			"es":       signingKey(tb, "p256", "ES256", "es"),
			"es-other": signingKey(tb, "p256-other", "ES256", "es-other"),
			"es384":    signingKey(tb, "p384", "ES384", "es384"),
			"es512":    signingKey(tb, "p521", "ES512", "es512"),
			"ed":       signingKey(tb, "ed25519", "EdDSA", "ed"),
			"rs":       signingKey(tb, "rsa", "RS256", "rs"),
			"ps":       signingKey(tb, "rsa-other", "PS256", "ps"),
			// the same keys put to other algorithms, which the key source does not know
			"rs512":       signingKey(tb, "rsa", "RS512", "rs"),
			"ps as rs":    signingKey(tb, "rsa-other", "RS256", "ps"),
			"rs as ps":    signingKey(tb, "rsa", "PS256", "rs"),
			"hs":          signingKey(tb, "secret", "HS256", "es"),
			"ed-mallory":  signingKey(tb, "ed25519-other", "EdDSA", "mallory"),
			"rs-as-other": signingKey(tb, "rsa", "RS256", "ps"),
		},
	}
}

// token makes the token that r describes.
func (f forger) token(tb testing.TB, r refusal) string {
	tb.Helper()
	name := r.key
	if name == "" {
		name = "es"
	}
	k := f.keys[name]
	claims := r.claims
	if claims == "" {
		claims = goodClaims
	}
	token := mustSign(tb, k, "at+jwt", claims)
	if r.header != "" {
		input := jose.Encode([]byte(r.header)) + "." + strings.Split(token, ".")[1]
		token = input + "." + jose.Encode(rawSignature(tb, k, input))
	}
	if r.edit != nil {
		token = r.edit(strings.Split(token, "."))
	}
	return token
}

// rawSignature signs any text with k.
func rawSignature(tb testing.TB, k *jose.Key, input string) []byte {
	tb.Helper()
	switch k.Algorithm() {
	case jose.ES256:
		digest := sha256.Sum256([]byte(input))
		der, err := k.Crypto().(crypto.Signer).Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			tb.Fatal(err)
		}
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &pair); err != nil {
			tb.Fatal(err)
		}
		sig := make([]byte, 64)
		pair.R.FillBytes(sig[:32])
		pair.S.FillBytes(sig[32:])
		return sig
	case jose.EdDSA:
		sig, err := k.Crypto().(crypto.Signer).Sign(nil, []byte(input), crypto.Hash(0))
		if err != nil {
			tb.Fatal(err)
		}
		return sig
	case jose.HS256:
		text, err := k.MarshalPrivateJWK()
		if err != nil {
			tb.Fatal(err)
		}
		var o jose.Object
		if err := o.Parse(text); err != nil {
			tb.Fatal(err)
		}
		encoded, _ := o.Lookup("k").Text()
		secret, _ := jose.Decode(encoded)
		return hmacSHA256(secret, input)
	default:
		tb.Fatalf("no raw signature by %v", k)
		return nil
	}
}

func hmacSHA256(secret []byte, input string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(input))
	return m.Sum(nil)
}

// hsWith makes an HS256 token keyed with what everybody may know.
func hsWith(secret []byte, header string) func([]string) string {
	return func(p []string) string {
		input := jose.Encode([]byte(header)) + "." + p[1]
		return input + "." + jose.Encode(hmacSHA256(secret, input))
	}
}

// resigned replaces the signature.
func resigned(edit func(sig []byte) []byte) func([]string) string {
	return func(p []string) string {
		sig, _ := jose.Decode(p[2])
		return p[0] + "." + p[1] + "." + jose.Encode(edit(sig))
	}
}

func insert(part, at int, text string) func([]string) string {
	return func(p []string) string {
		p = slices.Clone(p)
		p[part] = p[part][:at] + text + p[part][at:]
		return strings.Join(p, ".")
	}
}

// unsigned has another header under the old signature, or under none.
func unsigned(header, sig string) func([]string) string {
	return func(p []string) string { return jose.Encode([]byte(header)) + "." + p[1] + "." + sig }
}

func (f forger) refusals(tb testing.TB) []refusal {
	tb.Helper()
	return slices.Concat(formRefusals(), headerRefusals(), claimRefusals(), f.confusions(tb), f.signatureRefusals(tb))
}

func formRefusals() []refusal {
	join := func(f func(p []string) []string) func([]string) string {
		return func(p []string) string { return strings.Join(f(p), ".") }
	}
	constant := func(s string) func([]string) string { return func([]string) string { return s } }
	return []refusal{
		{name: "nothing", edit: constant(""), want: ErrMalformed},
		{name: "a word", edit: constant("token"), want: ErrMalformed},
		{name: "dots alone", edit: constant(".."), want: ErrMalformed},
		{name: "two parts", edit: join(func(p []string) []string { return p[:2] }), want: ErrMalformed},
		{name: "four parts", edit: join(func(p []string) []string { return append(p, "AA") }), want: ErrMalformed},
		{name: "five parts, as JWE", edit: join(func(p []string) []string { return append(p, "AA", "AA") }), want: ErrMalformed},
		{name: "trailing dot", edit: join(func(p []string) []string { return append(p, "") }), want: ErrMalformed},
		{name: "leading dot", edit: join(func(p []string) []string { return append([]string{""}, p...) }), want: ErrMalformed},
		{name: "empty header", edit: join(func(p []string) []string { return []string{"", p[1], p[2]} }), want: ErrMalformed},
		{name: "empty payload", edit: join(func(p []string) []string { return []string{p[0], "", p[2]} }), want: ErrMalformed},
		{name: "empty signature", edit: join(func(p []string) []string { return []string{p[0], p[1], ""} }), want: ErrMalformed},
		{name: "header padded", edit: insert(0, 0, "="), want: ErrMalformed},
		{name: "payload padded", edit: func(p []string) string { return p[0] + "." + p[1] + "=." + p[2] }, want: ErrMalformed},
		{name: "signature padded", edit: func(p []string) string { return strings.Join(p, ".") + "==" }, want: ErrMalformed},
		{name: "line feed in the header", edit: insert(0, 4, "\n"), want: ErrMalformed},
		{name: "line feed in the payload", edit: insert(1, 4, "\n"), want: ErrMalformed},
		{name: "line feed in the signature", edit: insert(2, 4, "\n"), want: ErrMalformed},
		{name: "line feed behind", edit: func(p []string) string { return strings.Join(p, ".") + "\n" }, want: ErrMalformed},
		{name: "CR LF behind", edit: func(p []string) string { return strings.Join(p, ".") + "\r\n" }, want: ErrMalformed},
		{name: "carriage return in the payload", edit: insert(1, 8, "\r"), want: ErrMalformed},
		{name: "blank in front", edit: insert(0, 0, " "), want: ErrMalformed},
		{name: "blank behind", edit: func(p []string) string { return strings.Join(p, ".") + " " }, want: ErrMalformed},
		{name: "tab in the signature", edit: insert(2, 8, "\t"), want: ErrMalformed},
		{name: "NUL behind", edit: func(p []string) string { return strings.Join(p, ".") + "\x00" }, want: ErrMalformed},
		{name: "byte order mark in front", edit: insert(0, 0, "\ufeff"), want: ErrMalformed},
		{name: "quotes around", edit: func(p []string) string { return `"` + strings.Join(p, ".") + `"` }, want: ErrMalformed},
		{name: "Bearer in front", edit: insert(0, 0, "Bearer "), want: ErrMalformed},
		{name: "percent-encoded dot", edit: func(p []string) string { return strings.Join(p, "%2E") }, want: ErrMalformed},
		{name: "plus for minus", edit: insert(2, 0, "++++"), want: ErrMalformed},
		{name: "slash for underscore", edit: insert(2, 0, "////"), want: ErrMalformed},
		{name: "stray bits", edit: func(p []string) string { return p[0] + "." + p[1] + "." + p[2][:85] + "B" }, want: ErrMalformed},
		{name: "a single character more", edit: insert(2, 0, "AAA"), want: ErrMalformed},
		{name: "header of 5 KiB", header: `{"alg":"ES256","kid":"es","typ":"at+jwt","x":"` + strings.Repeat("x", 5<<10) + `"}`, want: ErrMalformed},
		{name: "token of 17 KiB", claims: claimsWith("x", `"`+strings.Repeat("x", 13<<10)+`"`), want: ErrMalformed},
		{name: "JSON serialization", edit: func(p []string) string {
			return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
		}, want: ErrMalformed},
	}
}

func headerRefusals() []refusal {
	h := func(name, header string, want error) refusal {
		return refusal{name: "header: " + name, header: header, want: want}
	}
	const base = `"kid":"es","typ":"at+jwt"`
	return []refusal{
		h("crit with exp", `{"alg":"ES256",`+base+`,"crit":["exp"],"exp":1}`, ErrMalformed),
		h("crit with something unknown", `{"alg":"ES256",`+base+`,"crit":["x"],"x":1}`, ErrMalformed),
		h("crit empty", `{"alg":"ES256",`+base+`,"crit":[]}`, ErrMalformed),
		h("crit null", `{"alg":"ES256",`+base+`,"crit":null}`, ErrMalformed),
		h("b64 false", `{"alg":"ES256",`+base+`,"b64":false,"crit":["b64"]}`, ErrMalformed),
		h("b64 true without crit", `{"alg":"ES256",`+base+`,"b64":true}`, ErrMalformed),
		h("alg missing", `{`+base+`}`, ErrMalformed),
		h("alg null", `{"alg":null,`+base+`}`, ErrMalformed),
		h("alg a list", `{"alg":["ES256"],`+base+`}`, ErrMalformed),
		h("alg in lower case", `{"alg":"es256",`+base+`}`, ErrMalformed),
		h("alg with a blank", `{"alg":"ES256 ",`+base+`}`, ErrMalformed),
		h("alg by escape", `{"alg":"\u0045S256",`+base+`}`, ErrMalformed),
		h("alg unknown", `{"alg":"ES256K",`+base+`}`, ErrMalformed),
		h("alg of encryption", `{"alg":"dir","enc":"A256GCM",`+base+`}`, ErrMalformed),
		h("alg twice", `{"alg":"none","alg":"ES256",`+base+`}`, ErrMalformed),
		h("alg twice by escape", `{"\u0061lg":"none","alg":"ES256",`+base+`}`, ErrMalformed),
		h("Alg beside alg", `{"alg":"ES256","Alg":"none",`+base+`}`, ErrMalformed),
		h("ALG alone", `{"ALG":"ES256",`+base+`}`, ErrMalformed),
		h("kid twice", `{"alg":"ES256","kid":"es-other",`+base+`}`, ErrMalformed),
		h("kid with a Kelvin sign", `{"alg":"ES256","`+"\u212a"+`id":"es-other",`+base+`}`, ErrMalformed),
		h("kid a number", `{"alg":"ES256","kid":1,"typ":"at+jwt"}`, ErrMalformed),
		h("kid null", `{"alg":"ES256","kid":null,"typ":"at+jwt"}`, ErrMalformed),
		h("kid a path", `{"alg":"ES256","kid":"../../es","typ":"at+jwt"}`, ErrUnknownKey),
		h("kid an injection", `{"alg":"ES256","kid":"es' OR '1'='1","typ":"at+jwt"}`, ErrUnknownKey),
		h("kid with a blank", `{"alg":"ES256","kid":"es ","typ":"at+jwt"}`, ErrUnknownKey),
		h("kid with NUL", `{"alg":"ES256","kid":"es\u0000","typ":"at+jwt"}`, ErrUnknownKey),
		h("kid in another case", `{"alg":"ES256","kid":"ES","typ":"at+jwt"}`, ErrUnknownKey),
		h("typ missing", `{"alg":"ES256","kid":"es"}`, ErrType),
		h("typ JWT", `{"alg":"ES256","kid":"es","typ":"JWT"}`, ErrType),
		h("typ of an identity token", `{"alg":"ES256","kid":"es","typ":"id+jwt"}`, ErrType),
		h("typ with a blank", `{"alg":"ES256","kid":"es","typ":"at+jwt "}`, ErrType),
		h("typ with another prefix", `{"alg":"ES256","kid":"es","typ":"text/at+jwt"}`, ErrType),
		h("typ a list", `{"alg":"ES256","kid":"es","typ":["at+jwt"]}`, ErrMalformed),
		h("typ twice", `{"alg":"ES256","typ":"JWT",`+base+`}`, ErrMalformed),
		h("trailing bytes", `{"alg":"ES256",`+base+`}x`, ErrMalformed),
		h("trailing comma", `{"alg":"ES256",`+base+`,}`, ErrMalformed),
		h("comment", `{"alg":"ES256",/**/`+base+`}`, ErrMalformed),
		h("byte order mark", "\ufeff"+`{"alg":"ES256",`+base+`}`, ErrMalformed),
		h("invalid UTF-8", `{"alg":"ES256","x":"`+"\xff"+`",`+base+`}`, ErrMalformed),
		h("lone surrogate", `{"alg":"ES256","x":"\ud800",`+base+`}`, ErrMalformed),
		h("not an object", `["alg","ES256"]`, ErrMalformed),
		h("nested 33 deep", `{"alg":"ES256","x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+`,`+base+`}`, ErrMalformed),
	}
}

func claimRefusals() []refusal {
	c := func(name, claims string, want error) refusal {
		return refusal{name: "claims: " + name, claims: claims, want: want}
	}
	raw := func(extra string) string { return strings.TrimSuffix(goodClaims, "}") + "," + extra + "}" }
	return []refusal{
		c("exp missing", claimsWith("exp", ""), ErrClaim),
		c("exp null", claimsWith("exp", "null"), ErrClaim),
		c("exp a string", claimsWith("exp", `"1700000840"`), ErrClaim),
		c("exp a list", claimsWith("exp", `[1700000840]`), ErrClaim),
		c("exp an object", claimsWith("exp", `{"at":1700000840}`), ErrClaim),
		c("exp true", claimsWith("exp", `true`), ErrClaim),
		c("exp out of range", claimsWith("exp", `1e400`), ErrMalformed),
		c("another number out of range", raw(`"x":[-1e400]`), ErrMalformed),
		c("exp in the far future", claimsWith("exp", `1e300`), ErrClaim),
		c("exp negative", claimsWith("exp", `-1`), ErrClaim),
		c("exp in milliseconds", claimsWith("exp", `1700000840000`), ErrClaim),
		c("exp after the year 9999", claimsWith("exp", `253402300800`), ErrClaim),
		c("exp too long for an integer", claimsWith("exp", `99999999999999999999999999`), ErrClaim),
		c("exp NaN", claimsWith("exp", `NaN`), ErrMalformed),
		c("exp Infinity", claimsWith("exp", `Infinity`), ErrMalformed),
		c("exp hexadecimal", claimsWith("exp", `0x6553f100`), ErrMalformed),
		c("exp with a leading zero", claimsWith("exp", `01700000840`), ErrMalformed),
		c("exp twice", raw(`"exp":1800000000`), ErrMalformed),
		c("exp twice by escape", raw(`"\u0065xp":1800000000`), ErrMalformed),
		c("Exp beside exp", raw(`"Exp":1800000000`), ErrMalformed),
		c("exp over", claimsWith("exp", `1699999999`), ErrExpired),
		c("exp now", claimsWith("exp", `1700000000`), ErrExpired),
		c("exp a part of a second ago", claimsWith("exp", `1699999999.999`), ErrExpired),
		c("exp zero", claimsWith("exp", `0`), ErrExpired),
		c("nbf in a second", claimsWith("nbf", `1700000001`), ErrNotYetValid),
		c("nbf a string", claimsWith("nbf", `"1600000000"`), ErrClaim),
		c("nbf null", claimsWith("nbf", `null`), ErrClaim),
		c("nbf negative", claimsWith("nbf", `-5`), ErrClaim),
		c("iat missing", claimsWith("iat", ""), ErrClaim),
		c("iat a string", claimsWith("iat", `"1699999940"`), ErrClaim),
		c("iat null", claimsWith("iat", `null`), ErrClaim),
		c("iat in the future", claimsWith("iat", `1700000001`), ErrNotYetValid),
		c("lifetime of an hour and a second", claimsWith("iat", `1699999940`, "exp", `1700003541`), ErrLifetime),
		c("lifetime of years", claimsWith("iat", `1500000000`), ErrLifetime),
		c("iss missing", claimsWith("iss", ""), ErrClaim),
		c("iss empty", claimsWith("iss", `""`), ErrIssuer),
		c("iss of another", claimsWith("iss", `"https://mallory.example"`), ErrIssuer),
		c("iss with a slash", claimsWith("iss", `"https://issuer.example/"`), ErrIssuer),
		c("iss in capitals", claimsWith("iss", `"https://ISSUER.example"`), ErrIssuer),
		c("iss longer", claimsWith("iss", `"https://issuer.example.mallory.example"`), ErrIssuer),
		c("iss with NUL", claimsWith("iss", `"https://issuer.example\u0000"`), ErrIssuer),
		c("iss a list", claimsWith("iss", `["https://issuer.example"]`), ErrClaim),
		c("iss null", claimsWith("iss", `null`), ErrClaim),
		c("iss a number", claimsWith("iss", `1`), ErrClaim),
		c("iss twice", raw(`"iss":"https://issuer.example"`), ErrMalformed),
		c("ISS beside iss", raw(`"ISS":"https://mallory.example"`), ErrMalformed),
		c("iss with a long s", raw(`"is`+"\u017f"+`":"https://mallory.example"`), ErrMalformed),
		c("aud missing", claimsWith("aud", ""), ErrClaim),
		c("aud empty", claimsWith("aud", `""`), ErrAudience),
		c("aud an empty list", claimsWith("aud", `[]`), ErrAudience),
		c("aud of another", claimsWith("aud", `"https://other.example"`), ErrAudience),
		c("aud of others", claimsWith("aud", `["https://other.example","https://third.example"]`), ErrAudience),
		c("aud with a slash", claimsWith("aud", `"https://api.example/"`), ErrAudience),
		c("aud longer", claimsWith("aud", `"https://api.example.mallory.example"`), ErrAudience),
		c("aud of several in one string", claimsWith("aud", `"https://api.example https://other.example"`), ErrAudience),
		c("aud a number", claimsWith("aud", `1`), ErrClaim),
		c("aud null", claimsWith("aud", `null`), ErrClaim),
		c("aud a list in a list", claimsWith("aud", `[["https://api.example"]]`), ErrClaim),
		c("aud a list with a number", claimsWith("aud", `["https://api.example",1]`), ErrClaim),
		c("aud a list with null", claimsWith("aud", `["https://api.example",null]`), ErrClaim),
		c("aud an object", claimsWith("aud", `{"https://api.example":true}`), ErrClaim),
		c("aud twice", raw(`"aud":"https://api.example"`), ErrMalformed),
		c("sub missing", claimsWith("sub", ""), ErrClaim),
		c("sub null", claimsWith("sub", `null`), ErrClaim),
		c("sub a number", claimsWith("sub", `4711`), ErrClaim),
		c("sub twice", raw(`"sub":"admin"`), ErrMalformed),
		c("sub with a long s", raw(`"`+"\u017f"+`ub":"admin"`), ErrMalformed),
		c("client_id missing", claimsWith("client_id", ""), ErrClaim),
		c("client_id null", claimsWith("client_id", `null`), ErrClaim),
		c("jti missing", claimsWith("jti", ""), ErrClaim),
		c("scope a list", claimsWith("scope", `["orders:read"]`), ErrClaim),
		c("scope missing", claimsWith("scope", ""), ErrScope),
		c("scope of another name", claimsWith("scope", `"orders:readers"`), ErrScope),
		c("scope in capitals", claimsWith("scope", `"ORDERS:READ"`), ErrScope),
		c("duplicate deep down", raw(`"x":[{"y":{"z":1,"z":2}}]`), ErrMalformed),
		c("nested 33 deep", raw(`"x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)), ErrMalformed),
		c("lone surrogate", raw(`"x":"\udc00"`), ErrMalformed),
		c("invalid UTF-8", raw(`"x":"`+"\xc3\x28"+`"`), ErrMalformed),
		c("control character", raw("\"x\":\"\x01\""), ErrMalformed),
		c("trailing bytes", goodClaims+"{}", ErrMalformed),
		c("trailing NUL", goodClaims+"\x00", ErrMalformed),
		c("trailing comma", raw("")[:len(raw(""))-1]+"}", ErrMalformed),
		c("byte order mark", "\ufeff"+goodClaims, ErrMalformed),
		c("a list", "["+goodClaims+"]", ErrMalformed),
		c("a string", `"x"`, ErrMalformed),
		c("null", `null`, ErrMalformed),
		c("a token", "eyJhbGciOiJFUzI1NiJ9.e30.AA", ErrMalformed),
		c("empty object", `{}`, ErrClaim),
	}
}

// confusions let the token choose the key or the algorithm.
func (f forger) confusions(tb testing.TB) []refusal {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(f.keys["rs"].Public().Crypto())
	if err != nil {
		tb.Fatal(err)
	}
	rsPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	esJWK, err := f.keys["es"].MarshalJWK()
	if err != nil {
		tb.Fatal(err)
	}
	mallory, err := f.keys["ed-mallory"].MarshalJWK()
	if err != nil {
		tb.Fatal(err)
	}
	list := []refusal{
		{name: "HS256 with the public PEM", edit: hsWith(rsPEM, `{"alg":"HS256","kid":"rs","typ":"at+jwt"}`), want: ErrAlgorithm},
		{name: "HS256 with the public PEM, trimmed", edit: hsWith([]byte(strings.TrimSpace(string(rsPEM))), `{"alg":"HS256","kid":"rs","typ":"at+jwt"}`), want: ErrAlgorithm},
		{name: "HS256 with the public DER", edit: hsWith(der, `{"alg":"HS256","kid":"rs","typ":"at+jwt"}`), want: ErrAlgorithm},
		{name: "HS256 with the public JWK", edit: hsWith(esJWK, `{"alg":"HS256","kid":"es","typ":"at+jwt"}`), want: ErrAlgorithm},
		{name: "HS256 with the public PEM, no kid", edit: hsWith(rsPEM, `{"alg":"HS256","typ":"at+jwt"}`), want: ErrUnknownKey},
		{name: "HS256 with an empty secret", edit: hsWith(nil, `{"alg":"HS256","kid":"es","typ":"at+jwt"}`), want: ErrAlgorithm},
		{name: "HS256 under the kid of ES256", key: "hs", want: ErrAlgorithm},
		{name: "RS512 under the RS256 key", key: "rs512", want: ErrAlgorithm},
		{name: "PS256 under the RS256 key", key: "rs as ps", want: ErrAlgorithm},
		{name: "RS256 under the PS256 key", key: "ps as rs", want: ErrAlgorithm},
		{name: "ES256 under the kid of ES384", header: `{"alg":"ES256","kid":"es384","typ":"at+jwt"}`, want: ErrAlgorithm},
		{name: "ES256 under the kid of EdDSA", header: `{"alg":"ES256","kid":"ed","typ":"at+jwt"}`, want: ErrAlgorithm},
		{name: "ES384 that is signed as ES256", header: `{"alg":"ES384","kid":"es","typ":"at+jwt"}`, want: ErrAlgorithm},
		{name: "kid of another key", header: `{"alg":"ES256","kid":"es-other","typ":"at+jwt"}`, want: ErrSignature},
		{name: "key of another algorithm, no kid", header: `{"alg":"EdDSA","typ":"at+jwt"}`, want: ErrSignature},
		{name: "unknown key", key: "ed-mallory", want: ErrUnknownKey},
		{name: "unknown key, no kid", key: "ed-mallory", header: `{"alg":"EdDSA","typ":"at+jwt"}`, want: ErrSignature},
		{name: "unknown key under a known kid", key: "ed-mallory", header: `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`, want: ErrSignature},
		{
			name: "embedded jwk", key: "ed-mallory",
			header: `{"alg":"EdDSA","typ":"at+jwt","jwk":` + string(mallory) + `}`, want: ErrSignature,
		},
		{
			name: "embedded jwk under a known kid", key: "ed-mallory",
			header: `{"alg":"EdDSA","kid":"ed","typ":"at+jwt","jwk":` + string(mallory) + `}`, want: ErrSignature,
		},
		{
			name: "embedded jwk under its own kid", key: "ed-mallory",
			header: `{"alg":"EdDSA","kid":"mallory","typ":"at+jwt","jwk":` + string(mallory) + `}`, want: ErrUnknownKey,
		},
		{
			name: "jku", key: "ed-mallory",
			header: `{"alg":"EdDSA","kid":"mallory","typ":"at+jwt","jku":"http://127.0.0.1:1/jwks"}`, want: ErrUnknownKey,
		},
		{
			name: "jku, no kid", key: "ed-mallory",
			header: `{"alg":"EdDSA","typ":"at+jwt","jku":"http://127.0.0.1:1/jwks"}`, want: ErrSignature,
		},
		{
			name: "x5u", key: "ed-mallory",
			header: `{"alg":"EdDSA","typ":"at+jwt","x5u":"http://127.0.0.1:1/cert"}`, want: ErrSignature,
		},
		{
			name: "x5c", key: "ed-mallory",
			header: `{"alg":"EdDSA","typ":"at+jwt","x5c":["MIIB"]}`, want: ErrSignature,
		},
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", ""} {
		list = append(list,
			refusal{name: "alg " + none + " without a signature", edit: unsigned(`{"alg":"`+none+`","kid":"es","typ":"at+jwt"}`, ""), want: ErrMalformed},
			refusal{name: "alg " + none + " with one", edit: unsigned(`{"alg":"`+none+`","typ":"at+jwt"}`, "AA"), want: ErrMalformed})
	}
	return list
}

func (f forger) signatureRefusals(tb testing.TB) []refusal {
	tb.Helper()
	salted := func(length int) func([]string) string {
		return func(p []string) string {
			digest := sha256.Sum256([]byte(p[0] + "." + p[1]))
			sig, err := rsa.SignPSS(rand.Reader, f.keys["ps"].Crypto().(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: length})
			if err != nil {
				tb.Fatal(err)
			}
			return p[0] + "." + p[1] + "." + jose.Encode(sig)
		}
	}
	half := func(which int, value []byte) func([]byte) []byte {
		return func(sig []byte) []byte {
			sig = slices.Clone(sig)
			copy(sig[which*len(sig)/2:], value)
			return sig
		}
	}
	p256Order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	zeros, n := make([]byte, 32), p256Order.Bytes()
	order25519, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	plusOrder := func(sig []byte) []byte { // S+L, little-endian: another spelling of the same S
		sig = slices.Clone(sig)
		slices.Reverse(sig[32:])
		s := new(big.Int).SetBytes(sig[32:])
		s.Add(s, order25519).FillBytes(sig[32:])
		slices.Reverse(sig[32:])
		return sig
	}
	toDER := func(sig []byte) []byte {
		der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
		if err != nil {
			tb.Fatal(err)
		}
		return der
	}
	cut := func(sig []byte) []byte { return sig[:len(sig)-1] }
	longer := func(sig []byte) []byte { return append(slices.Clone(sig), 0) }
	zeroInFront := func(sig []byte) []byte { return append([]byte{0}, sig...) }
	flip := func(sig []byte) []byte { sig = slices.Clone(sig); sig[len(sig)/2] ^= 1; return sig }
	blank := func(sig []byte) []byte { return make([]byte, len(sig)) }
	list := []refusal{
		{name: "DER", edit: resigned(toDER), want: ErrSignature},
		{name: "r is zero", edit: resigned(half(0, zeros)), want: ErrSignature},
		{name: "s is zero", edit: resigned(half(1, zeros)), want: ErrSignature},
		{name: "r is the order", edit: resigned(half(0, n)), want: ErrSignature},
		{name: "s is the order", edit: resigned(half(1, n)), want: ErrSignature},
		{name: "r and s are the order", edit: resigned(func(s []byte) []byte { return half(0, n)(half(1, n)(s)) }), want: ErrSignature},
		{name: "r is all ones", edit: resigned(half(0, []byte(strings.Repeat("\xff", 32)))), want: ErrSignature},
		{name: "zeros in front of r and s", edit: resigned(func(s []byte) []byte {
			return slices.Concat([]byte{0}, s[:32], []byte{0}, s[32:])
		}), want: ErrSignature},
		{name: "zero in front of s", edit: resigned(func(s []byte) []byte {
			return slices.Concat(s[:32], []byte{0}, s[32:])
		}), want: ErrSignature},
		{name: "PS256 without salt", key: "ps", edit: salted(0), want: ErrSignature},
		{name: "PS256 with a salt of 20", key: "ps", edit: salted(20), want: ErrSignature},
		{name: "PS256 with a salt of 33", key: "ps", edit: salted(33), want: ErrSignature},
		{name: "PS256 with the longest salt", key: "ps", edit: salted(rsa.PSSSaltLengthAuto), want: ErrSignature},
		{name: "EdDSA with S+L", key: "ed", edit: resigned(plusOrder), want: ErrSignature},
		{name: "RS256 of another key", key: "rs-as-other", want: ErrAlgorithm},
	}
	for _, key := range []string{"es", "es384", "es512", "ed", "rs", "ps"} {
		list = append(list,
			refusal{name: key + ": cut", key: key, edit: resigned(cut), want: ErrSignature},
			refusal{name: key + ": longer", key: key, edit: resigned(longer), want: ErrSignature},
			refusal{name: key + ": zero in front", key: key, edit: resigned(zeroInFront), want: ErrSignature},
			refusal{name: key + ": a bit flipped", key: key, edit: resigned(flip), want: ErrSignature},
			refusal{name: key + ": all zero", key: key, edit: resigned(blank), want: ErrSignature},
			refusal{name: key + ": of one byte", key: key, edit: resigned(func([]byte) []byte { return []byte{1} }), want: ErrSignature},
			refusal{name: key + ": of other claims", key: key, edit: func(p []string) string {
				return p[0] + "." + jose.Encode([]byte(claimsWith("sub", `"admin"`))) + "." + p[2]
			}, want: ErrSignature})
	}
	return list
}

// TestRefusals shows each token to a verifier, to one with a cache, and to the
// middleware, which must not tell them apart.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	var trusted []*jose.Key
	for _, name := range f.trusted {
		trusted = append(trusted, f.keys[name])
	}
	policy := AccessTokens(testIssuer, testAudience)
	policy.MaxLifetime, policy.Scopes = time.Hour, []string{"orders:read"}
	v := mustVerifier(t, VerifierConfig{Keys: mustStatic(t, trusted...), Policy: policy, Clock: atTestNow, Cache: NewCache(1 << 20)})
	for _, name := range f.trusted {
		if _, err := v.Verify(t.Context(), f.token(t, refusal{key: name})); err != nil {
			t.Fatalf("%s: the token that the others derive from is refused: %v", name, err)
		}
	}
	if _, err := v.Verify(t.Context(), f.token(t, refusal{header: `{"alg":"ES256","kid":"es","typ":"at+jwt"}`})); err != nil {
		t.Fatalf("the forger's own signature is refused: %v", err)
	}
	list := f.refusals(t)
	if len(list) < 120 {
		t.Errorf("%d refusals, want at least 120", len(list))
	}
	names := map[string]bool{}
	protected := Middleware(v)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }))
	for _, r := range list {
		if names[r.name] {
			t.Errorf("two refusals are called %q", r.name)
		}
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			token := f.token(t, r)
			for range 2 { // a refusal is not remembered as anything
				got, err := v.Verify(t.Context(), token)
				if !errors.Is(err, r.want) || got != nil {
					t.Fatalf("Verify() = %v, %v, want %v", got, err, r.want)
				}
				if text := err.Error(); strings.Contains(text, "mallory") || len(token) > 20 && strings.Contains(text, token[:20]) {
					t.Errorf("the error tells what the token says: %v", err)
				}
			}
			if strings.HasPrefix(token, " ") {
				return // in a header, blanks in front are not the token's
			}
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header["Authorization"] = []string{"Bearer " + token}
			w := httptest.NewRecorder()
			protected.ServeHTTP(w, req)
			if w.Code < 400 || w.Code > 403 || len(token) > 20 && strings.Contains(w.Body.String(), token[:20]) {
				t.Errorf("the middleware answers %d %s", w.Code, w.Body)
			}
		})
	}
}

// TestSymmetricRefusals shows tokens of the other kind to a verifier with a secret.
func TestSymmetricRefusals(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	secret := signingKey(t, "secret", "HS256", "hs")
	v := mustVerifier(t, VerifierConfig{
		Keys: mustStatic(t, secret), Policy: AccessTokens(testIssuer, testAudience), Clock: atTestNow,
	})
	if _, err := v.Verify(t.Context(), mustSign(t, secret, "at+jwt", goodClaims)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"ES256 under the kid":    {f.token(t, refusal{header: `{"alg":"ES256","kid":"hs","typ":"at+jwt"}`}), ErrAlgorithm},
		"ES256 without kid":      {f.token(t, refusal{header: `{"alg":"ES256","typ":"at+jwt"}`}), ErrAlgorithm},
		"none":                   {f.token(t, refusal{edit: unsigned(`{"alg":"none","kid":"hs"}`, "")}), ErrMalformed},
		"HS512 with the secret":  {mustSign(t, signingKey(t, "secret", "HS512", "hs"), "at+jwt", goodClaims), ErrAlgorithm},
		"HS384 with the secret":  {mustSign(t, signingKey(t, "secret", "HS384", "hs"), "at+jwt", goodClaims), ErrAlgorithm},
		"HS256 with another":     {f.token(t, refusal{edit: hsWith([]byte("guess"), `{"alg":"HS256","kid":"hs","typ":"at+jwt"}`)}), ErrSignature},
		"HS256 with nothing":     {f.token(t, refusal{edit: hsWith(nil, `{"alg":"HS256","kid":"hs","typ":"at+jwt"}`)}), ErrSignature},
		"HS256 cut to 16 bytes":  {f.token(t, refusal{edit: resigned(func(s []byte) []byte { return s[:16] }), key: "hs", header: `{"alg":"HS256","kid":"hs","typ":"at+jwt"}`}), ErrSignature},
		"HS256 with more behind": {f.token(t, refusal{edit: resigned(func(s []byte) []byte { return append(s, 0) }), key: "hs", header: `{"alg":"HS256","kid":"hs","typ":"at+jwt"}`}), ErrSignature},
		"HS256 under another kid": {f.token(t, refusal{
			key: "hs", header: `{"alg":"HS256","kid":"other","typ":"at+jwt"}`,
		}), ErrUnknownKey},
	} {
		if _, err := v.Verify(t.Context(), tc.token); !errors.Is(err, tc.want) {
			t.Errorf("%s: error = %v, want %v", name, err, tc.want)
		}
	}
}
