package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// Key is one to seal with as a file has it: public, private, or a secret.
type Key struct {
	suite Suite // what the file says of it
	kid   string
	// One of them is set.
	pair   *jose.Key
	secret secret.Bytes
}

// errNoKey is what a file is refused with that has no key to seal with.
var errNoKey = errors.New("neither a JWK nor a PEM block of an RSA or EC key, nor a JWK of a secret")

// ParseKey reads a JWK (RFC 7517) whose kty is RSA, EC or oct and which is not for
// signatures, or an RSA or EC key in PEM.
func ParseKey(data []byte) (*Key, error) {
	k, err := readKey(bytes.TrimSpace(data))
	if err != nil {
		return nil, err
	}
	if _, err := k.Recipient(Suite{}); err != nil {
		return nil, err
	}
	return k, nil
}

func readKey(data []byte) (*Key, error) {
	if bytes.HasPrefix(data, []byte("{")) {
		return parseJWK(data)
	}
	for _, alg := range []jose.Algorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256} {
		if pair, err := jose.ParsePEM(alg, "", data); err == nil {
			return &Key{pair: pair}, nil
		}
	}
	return nil, errNoKey
}

func parseJWK(data []byte) (*Key, error) {
	m, ok := parseMembers(data)
	if !ok {
		return nil, errNoKey
	}
	var use, kty, alg, k string
	key := &Key{}
	for name, into := range map[string]*string{"use": &use, "kty": &kty, "alg": &alg, "kid": &key.kid} {
		if _, present := m[name]; present && !m.text(name, into) {
			return nil, fmt.Errorf("%s is not a string", name)
		}
	}
	delete(m, "key_ops") // says more than use, of what the caller decides
	if use != "" && use != "enc" || alg != "" && !slices.Contains(algorithms, Algorithm(alg)) {
		return nil, fmt.Errorf("use is not enc, or alg is none of %q", algorithms)
	}
	key.suite.Alg = Algorithm(alg)
	if kty == "oct" {
		value, isText := []byte(nil), m.text("k", &k)
		if isText {
			value, isText = jose.Decode(k)
		}
		if !isText {
			return nil, errors.New("k is not canonical base64url")
		}
		key.secret = secret.New(value)
		return key, nil
	}
	m["kty"], _ = json.Marshal(kty) // a string always marshals
	rest, err := json.Marshal(m)
	if err != nil {
		return nil, errNoKey
	}
	if key.pair, err = jose.ParseJWK(rest); err != nil {
		return nil, err
	}
	return key, nil
}

// Generate makes a key with its thumbprint (RFC 7638) as its id: P-256, RSA of 2048 bits,
// or a random secret, which has a random id.
func Generate(alg Algorithm) (*Key, error) {
	key := &Key{suite: Suite{Alg: alg}}
	signs := jose.ES256
	switch alg {
	case Direct:
		value := make([]byte, KeySize)
		_, _ = rand.Read(value) // never fails (crypto/rand)
		key.secret, key.kid = secret.New(value), rand.Text()
		return key, nil
	case RSAOAEP256:
		signs = jose.RS256
	case ECDHES, ECDHESA256KW:
	default:
		return nil, fmt.Errorf("algorithm %q is none of %q", alg, algorithms)
	}
	var err error
	if key.pair, err = jose.Generate(signs, ""); err != nil {
		return nil, err
	}
	key.kid = key.pair.ID()
	return key, nil
}

// Recipient seals to the key. Members of s that are zero are as the file has them.
func (k *Key) Recipient(s Suite) (*Recipient, error) {
	if k.pair == nil {
		return NewRecipient(k.with(s), k.kid, k.secret)
	}
	return NewRecipient(k.with(s), k.kid, k.pair.Public().Crypto())
}

// Opener opens what was sealed to the key, which must be private or a secret.
func (k *Key) Opener(s Suite) (*Opener, error) {
	if k.pair == nil {
		return NewOpener(k.with(s), k.kid, k.secret)
	}
	if !k.pair.CanSign() {
		return nil, errors.New("the key is public: opening needs the private one")
	}
	return NewOpener(k.with(s), k.kid, k.pair.Crypto())
}

func (k *Key) with(s Suite) Suite {
	if s.Alg == "" {
		s.Alg = k.suite.Alg
	}
	return s
}

// Private reports whether the key opens.
func (k *Key) Private() bool { return k.pair == nil || k.pair.CanSign() }

// MarshalPublic writes the public half as a JWK, which a secret does not have.
func (k *Key) MarshalPublic() ([]byte, error) {
	if k.pair == nil {
		return nil, errors.New("a secret has no public half")
	}
	return k.marshal(k.pair.MarshalJWK())
}

// MarshalPrivate writes all of the key as a JWK.
func (k *Key) MarshalPrivate() ([]byte, error) {
	if k.pair == nil {
		return k.marshal(json.Marshal(map[string]string{"kty": "oct", "k": jose.Encode(k.secret.Reveal())}))
	}
	return k.marshal(k.pair.MarshalPrivateJWK())
}

// marshal says in a JWK what the key is for.
func (k *Key) marshal(jwk []byte, err error) ([]byte, error) {
	var m map[string]string
	if err == nil {
		err = json.Unmarshal(jwk, &m)
	}
	if err != nil {
		return nil, err
	}
	delete(m, "alg")
	m["use"] = "enc"
	if k.kid != "" {
		m["kid"] = k.kid
	}
	if k.suite.Alg != "" {
		m["alg"] = string(k.suite.Alg)
	}
	return json.Marshal(m)
}
