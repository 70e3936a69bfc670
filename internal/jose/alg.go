package jose

import (
	"crypto"
	"crypto/elliptic"
	_ "crypto/sha256" // links the hashes that the table names
	_ "crypto/sha512"
)

// Algorithm is a signature algorithm by its registered name (RFC 7518 §3.1,
// RFC 8037 §3.1). The zero value is none of them, and "none" is not one.
type Algorithm string

// The algorithms there are.
const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA" // Ed25519
)

// Algorithms lists them all, in the order of the constants.
func Algorithms() []Algorithm {
	return []Algorithm{
		HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA,
	}
}

type family uint8

const (
	unknown family = iota
	mac
	pkcs1
	pss
	ecdsaRS // r||s, both of the curve's length (RFC 7518 §3.4)
	ed25519Family
)

// scheme is how an algorithm signs.
type scheme struct {
	family family
	hash   crypto.Hash // zero for EdDSA, which hashes by itself
	curve  string      // the one curve of an ES algorithm (RFC 7518 §3.4)
}

func (a Algorithm) scheme() scheme {
	switch a {
	case HS256:
		return scheme{mac, crypto.SHA256, ""}
	case HS384:
		return scheme{mac, crypto.SHA384, ""}
	case HS512:
		return scheme{mac, crypto.SHA512, ""}
	case RS256:
		return scheme{pkcs1, crypto.SHA256, ""}
	case RS384:
		return scheme{pkcs1, crypto.SHA384, ""}
	case RS512:
		return scheme{pkcs1, crypto.SHA512, ""}
	case PS256:
		return scheme{pss, crypto.SHA256, ""}
	case PS384:
		return scheme{pss, crypto.SHA384, ""}
	case PS512:
		return scheme{pss, crypto.SHA512, ""}
	case ES256:
		return scheme{ecdsaRS, crypto.SHA256, "P-256"}
	case ES384:
		return scheme{ecdsaRS, crypto.SHA384, "P-384"}
	case ES512:
		return scheme{ecdsaRS, crypto.SHA512, "P-521"}
	case EdDSA:
		return scheme{ed25519Family, 0, ""}
	default:
		return scheme{}
	}
}

// Valid reports whether a is one of the algorithms above. Names are compared as
// they stand: "hs256" is not one.
func (a Algorithm) Valid() bool { return a.scheme().family != unknown }

// Symmetric reports whether who can verify can also sign.
func (a Algorithm) Symmetric() bool { return a.scheme().family == mac }

// RSA reports whether its keys are RSA keys, of which there are several sizes.
func (a Algorithm) RSA() bool { f := a.scheme().family; return f == pkcs1 || f == pss }

// curveByName returns the curve of a JWK's crv, nil if it is none of RFC 7518 §6.2.1.1.
func curveByName(crv string) elliptic.Curve {
	switch crv {
	case "P-256":
		return elliptic.P256()
	case "P-384":
		return elliptic.P384()
	case "P-521":
		return elliptic.P521()
	default:
		return nil
	}
}

// algorithmOfCurve is the one ES algorithm that may use the curve.
func algorithmOfCurve(crv string) Algorithm {
	for _, a := range [...]Algorithm{ES256, ES384, ES512} {
		if a.scheme().curve == crv {
			return a
		}
	}
	return ""
}
