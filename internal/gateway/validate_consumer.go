package gateway

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/jose"
)

func (v *validator) consumers() {
	usernames, customIDs := map[string]string{}, map[string]string{}
	keys := map[string]string{}
	for i := range v.config.Consumers {
		c, at := &v.config.Consumers[i], fmt.Sprintf("consumers[%d]", i)
		v.identity(at+".username", c.Username, usernames)
		if c.CustomID != "" {
			v.identity(at+".custom_id", c.CustomID, customIDs)
		}
		v.groups(at+".groups", c.Groups)
		v.consumerPlugins(at+".plugins", &c.Plugins)
		for j := range c.JWTSecrets {
			v.credential(fmt.Sprintf("%s.jwt_secrets[%d]", at, j), &c.JWTSecrets[j], keys)
		}
	}
}

// identity checks a name that goes to the upstream in a header.
func (v *validator) identity(at, name string, used map[string]string) {
	switch first, taken := used[name]; {
	case !headerText(name):
		v.bad(at, "write 1 to %d bytes of printable text without outer blanks", maxNameLength)
	case taken:
		v.bad(at, "%q is already the value of %s", name, first)
	default:
		used[name] = at
	}
}

func (v *validator) credential(at string, s *JWTSecret, keys map[string]string) {
	if s.Key != "" || s.KeySet != accessSet {
		v.name(at+".key", s.Key, keys)
	}
	v.credentials[s.Key] = s
	given := 0
	for _, set := range []bool{
		s.Secret.Len() > 0, s.PublicKey != "", len(s.PublicKeys) > 0, s.KeySet != "", s.JWKSURI != "", s.Discovery,
	} {
		if set {
			given++
		}
	}
	if given != 1 {
		v.bad(at, "set exactly one of secret, rsa_public_key, public_keys, key_set, jwks_uri and discovery")
		return
	}
	if len(s.PublicKeys) > maxKeys {
		v.bad(at+".public_keys", "must be at most %d: no more are tried for one token", maxKeys)
	}
	switch alg := jose.Algorithm(s.Algorithm); {
	case s.KeySet != "" || s.remote():
		if s.Algorithm != "" {
			v.bad(at+".algorithm", "leave it out: the keys of a set name their own")
		}
		if s.remote() {
			v.remote(at, s)
		}
	case alg != "" && !alg.Valid():
		v.bad(at+".algorithm", "%q: expected one of HS, RS, PS or ES with 256, 384 or 512, or EdDSA", s.Algorithm)
	case len(s.publicKeys()) > 0 && (alg == "" || alg.Symmetric()):
		v.bad(at+".algorithm", "must be that of the public key, such as RS256")
	case len(s.publicKeys()) > 0:
		for _, p := range s.publicKeys() {
			if _, err := s.publicKey(p.pem); err != nil {
				v.bad(at+"."+p.at, "%v", err)
			}
		}
	case s.Secret.Len() > 0 && !s.symmetric():
		v.bad(at+".algorithm", "a secret goes with HS256, HS384 or HS512; for %s set rsa_public_key", s.Algorithm)
	}
}

// remote checks where the keys are said to be.
func (v *validator) remote(at string, s *JWTSecret) {
	if _, err := s.keysFrom(nil, nil); err == nil {
		return
	} else if s.Discovery {
		v.bad(at+".key", "must be the issuer's https URL for discovery (http only on loopback)")
	} else if s.Key != "" {
		v.bad(at+".jwks_uri", "must be an https URL (http only on loopback)")
	}
}

// symmetric tells whether whoever can verify with s can also sign.
func (s *JWTSecret) symmetric() bool {
	return s.Secret.Len() > 0 && s.algorithm().Symmetric()
}

// algorithm has Kong's default.
func (s *JWTSecret) algorithm() jose.Algorithm {
	if s.Algorithm == "" {
		return "HS256"
	}
	return jose.Algorithm(s.Algorithm)
}

// validGroup tells whether g can stand in the list of X-Consumer-Groups.
func validGroup(g string) bool {
	return headerText(g) && !strings.Contains(g, ",")
}

// headerText tells whether s is a name that reaches an upstream unchanged in a header.
func headerText(s string) bool { return printable(s, maxNameLength) }

// printable tells whether s is 1 to most bytes of printable text without outer blanks:
// what reaches an upstream unchanged as a header value.
func printable(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
