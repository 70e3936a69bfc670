package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
)

// jwk is what Carnet writes. Members stand in alphabetical order, so that the
// required ones alone are the input of a thumbprint (RFC 7638 §3.1).
type jwk struct {
	Alg Algorithm `json:"alg,omitempty"`
	Crv string    `json:"crv,omitempty"`
	D   string    `json:"d,omitempty"`
	DP  string    `json:"dp,omitempty"`
	DQ  string    `json:"dq,omitempty"`
	E   string    `json:"e,omitempty"`
	K   string    `json:"k,omitempty"`
	Kid string    `json:"kid,omitempty"`
	Kty string    `json:"kty"`
	N   string    `json:"n,omitempty"`
	P   string    `json:"p,omitempty"`
	Q   string    `json:"q,omitempty"`
	QI  string    `json:"qi,omitempty"`
	Use string    `json:"use,omitempty"`
	X   string    `json:"x,omitempty"`
	Y   string    `json:"y,omitempty"`
}

// requiredMembers are those that make the key what it is.
func requiredMembers(public crypto.PublicKey) jwk {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return jwk{Kty: "RSA", N: Encode(p.N.Bytes()), E: Encode(big.NewInt(int64(p.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4 || x || y, both of the curve's length
		if err != nil {
			return jwk{}
		}
		half := (len(point) - 1) / 2
		return jwk{Kty: "EC", Crv: p.Params().Name, X: Encode(point[1 : 1+half]), Y: Encode(point[1+half:])}
	case ed25519.PublicKey:
		return jwk{Kty: "OKP", Crv: "Ed25519", X: Encode(p)}
	default:
		return jwk{}
	}
}

// MarshalJWK writes the public key as a JWK with alg, kid and use. It refuses a
// secret, which has no public half.
func (k *Key) MarshalJWK() ([]byte, error) {
	if k.public == nil {
		return nil, malformed("key", "a secret has no public JWK")
	}
	j := requiredMembers(k.public)
	j.Alg, j.Kid, j.Use = k.alg, k.id, "sig"
	return json.Marshal(j)
}

// MarshalPrivateJWK writes all of the key, secret parts included, for sealing.
func (k *Key) MarshalPrivateJWK() ([]byte, error) {
	j := requiredMembers(k.public)
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		if len(p.Primes) != 2 {
			return nil, malformed("key", "RSA key of more than two primes")
		}
		j.D, j.P, j.Q = Encode(p.D.Bytes()), Encode(p.Primes[0].Bytes()), Encode(p.Primes[1].Bytes())
		j.DP, j.DQ, j.QI = Encode(p.Precomputed.Dp.Bytes()), Encode(p.Precomputed.Dq.Bytes()), Encode(p.Precomputed.Qinv.Bytes())
	case *ecdsa.PrivateKey:
		d, err := p.Bytes()
		if err != nil {
			return nil, fmt.Errorf("write EC key: %w", err)
		}
		j.D = Encode(d)
	case ed25519.PrivateKey:
		j.D = Encode(p.Seed())
	default:
		if k.secret == nil {
			return nil, malformed("key", "there is no private half to write")
		}
		j = jwk{Kty: "oct", K: Encode(k.secret)}
	}
	j.Alg, j.Kid, j.Use = k.alg, k.id, "sig"
	return json.Marshal(j)
}

// ParseJWK reads a public, private or secret signature key (RFC 7517 §4, RFC 7518
// §6, RFC 8037 §2). A key that names no algorithm gets the one of its curve, RS256
// if it is RSA; a secret must name its own and be as long as its hash. Certificate
// members and unknown ones are ignored.
func ParseJWK(data []byte) (*Key, error) {
	var o Object
	if err := o.Parse(data); err != nil {
		return nil, err
	}
	return parseJWK(&o)
}

// jwkNames are the members that must not appear in another case.
var jwkNames = []string{"kty", "use", "key_ops", "alg", "kid", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "oth", "k"}

func parseJWK(o *Object) (*Key, error) {
	if o.lookAlike(jwkNames) {
		return nil, malformed("key", "member name in another case")
	}
	r := jwkReader{object: o}
	kty, kid, alg := r.text("kty"), r.text("kid"), Algorithm(r.text("alg"))
	if r.reason == "" && !r.forSignatures() {
		r.reason = "not for signatures (use, key_ops)"
	}
	if r.reason != "" {
		return nil, malformed("key", r.reason)
	}
	switch kty {
	case "oct":
		secret := r.bytes("k")
		if r.reason != "" {
			return nil, malformed("key", r.reason)
		}
		return NewSecretKey(alg, kid, secret)
	case "RSA":
		if alg == "" {
			alg = RS256
		}
		return r.key(alg, kid, r.rsa())
	case "EC":
		if alg == "" {
			alg = algorithmOfCurve(r.text("crv"))
		}
		return r.key(alg, kid, r.ec())
	case "OKP":
		if alg == "" {
			alg = EdDSA
		}
		return r.key(alg, kid, r.okp())
	default:
		return nil, malformed("key", "kty is none of RSA, EC, OKP and oct")
	}
}

// jwkReader reads members and keeps the first reason to refuse.
type jwkReader struct {
	object *Object
	reason string
}

func (r *jwkReader) key(alg Algorithm, kid string, material any) (*Key, error) {
	if r.reason != "" {
		return nil, malformed("key", r.reason)
	}
	return NewKey(alg, kid, material)
}

func (r *jwkReader) fail(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
}

// text returns a string member, "" if it is absent.
func (r *jwkReader) text(name string) string {
	v := r.object.Lookup(name)
	s, ok := v.Text()
	if !ok && v.Kind != Absent {
		r.fail(name + " is not a string")
	}
	return s
}

func (r *jwkReader) bytes(name string) []byte {
	b, ok := Decode(r.text(name))
	if !ok || len(b) == 0 {
		r.fail(name + " is not base64url")
	}
	return b
}

func (r *jwkReader) number(name string) *big.Int { return new(big.Int).SetBytes(r.bytes(name)) }

func (r *jwkReader) has(name string) bool { return r.object.Lookup(name).Kind != Absent }

// forSignatures checks use (RFC 7517 §4.2) and key_ops (§4.3) where they stand.
func (r *jwkReader) forSignatures() bool {
	if r.has("use") && r.text("use") != "sig" {
		return false
	}
	if !r.has("key_ops") {
		return true
	}
	ops, ok := r.object.Lookup("key_ops").Texts()
	fit := false
	for _, op := range ops {
		fit = fit || op == "verify" || op == "sign"
	}
	return ok && fit
}

func (r *jwkReader) rsa() any {
	e := r.number("e")
	public := rsa.PublicKey{N: r.number("n"), E: int(e.Int64())}
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		r.fail("e is too large")
	}
	if !r.has("d") {
		return &public
	}
	if r.has("oth") {
		r.fail("RSA key of more than two primes")
	}
	private := &rsa.PrivateKey{PublicKey: public, D: r.number("d"), Primes: []*big.Int{r.number("p"), r.number("q")}}
	for _, n := range [...]*big.Int{private.D, private.Primes[0], private.Primes[1]} {
		if n.BitLen() > public.N.BitLen() { // else checking it could cost without bound
			r.fail("d, p or q is longer than n")
		}
	}
	return private
}

func (r *jwkReader) ec() any {
	curve := curveByName(r.text("crv"))
	if curve == nil {
		r.fail("crv is none of P-256, P-384 and P-521")
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := r.bytes("x"), r.bytes("y")
	if len(x) != size || len(y) != size {
		r.fail("coordinate of another length than the curve's")
		return nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil {
		r.fail("point is not on the curve")
		return nil
	}
	if !r.has("d") {
		return public
	}
	private, err := ecdsa.ParseRawPrivateKey(curve, r.bytes("d"))
	if err != nil || !private.PublicKey.Equal(public) {
		r.fail("d does not belong to x and y")
		return nil
	}
	return private
}

func (r *jwkReader) okp() any {
	if r.text("crv") != "Ed25519" {
		r.fail("crv is not Ed25519")
		return nil
	}
	public := ed25519.PublicKey(r.bytes("x"))
	if !r.has("d") {
		return public
	}
	seed := r.bytes("d")
	if len(seed) != ed25519.SeedSize {
		r.fail("d is not 32 bytes")
		return nil
	}
	private := ed25519.NewKeyFromSeed(seed)
	if !public.Equal(private.Public()) {
		r.fail("d does not belong to x")
		return nil
	}
	return private
}
