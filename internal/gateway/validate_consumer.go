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
	for _, set := range []bool{s.Secret.Len() > 0, s.PublicKey != "", s.KeySet != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		v.bad(at, "set exactly one of secret, rsa_public_key and key_set")
		return
	}
	switch alg := jose.Algorithm(s.Algorithm); {
	case s.KeySet != "":
		if s.Algorithm != "" {
			v.bad(at+".algorithm", "leave it out: the keys of a key set name their own")
		}
	case alg != "" && !alg.Valid():
		v.bad(at+".algorithm", "%q: expected one of HS, RS, PS or ES with 256, 384 or 512, or EdDSA", s.Algorithm)
	case s.PublicKey != "" && (alg == "" || alg.Symmetric()):
		v.bad(at+".algorithm", "must be that of the public key, such as RS256")
	case s.PublicKey != "":
		if _, err := s.publicKey(); err != nil {
			v.bad(at+".rsa_public_key", "%v", err)
		}
	case s.Secret.Len() > 0 && !s.symmetric():
		v.bad(at+".algorithm", "a secret goes with HS256, HS384 or HS512; for %s set rsa_public_key", s.Algorithm)
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

// headerText tells whether s reaches an upstream unchanged as a header value.
func headerText(s string) bool {
	return s != "" && len(s) <= maxNameLength && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
