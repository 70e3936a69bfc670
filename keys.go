package carnet

import (
	"context"
	"errors"
	"fmt"

	"github.com/carnetproject/carnet/internal/jose"
)

// Key is a verification key with the one algorithm that it is for. It is immutable.
type Key struct {
	key   *jose.Key
	owner any
}

func newKey(k *jose.Key, err error) (*Key, error) {
	if err != nil {
		return nil, malformedKey(err)
	}
	return &Key{key: k}, nil
}

// ParseJWK reads a JSON Web Key (RFC 7517). A public key that names no algorithm
// gets the one of its curve, or RS256 if it is RSA. RSA keys need 2048 bits; a
// secret (oct) must name its algorithm and be as long as its hash.
func ParseJWK(data []byte) (*Key, error) { return newKey(jose.ParseJWK(data)) }

// ParsePEM reads one PEM block with a public key, a private key or a certificate,
// for the algorithm alg. An empty kid stands for the RFC 7638 thumbprint.
func ParsePEM(alg, kid string, data []byte) (*Key, error) {
	return newKey(jose.ParsePEM(jose.Algorithm(alg), kid, data))
}

// SecretKey makes a key of an HMAC secret that is at least as long as the hash of
// alg (RFC 7518 §3.2).
func SecretKey(alg, kid string, secret []byte) (*Key, error) {
	return newKey(jose.NewSecretKey(jose.Algorithm(alg), kid, secret))
}

// ImportedSecretKey is [SecretKey] for secrets of another system that may be too
// short to be safe. Prefer to replace them.
func ImportedSecretKey(alg, kid string, secret []byte) (*Key, error) {
	return newKey(jose.NewImportedSecretKey(jose.Algorithm(alg), kid, secret))
}

// Algorithm is the one that the key is for, e.g. "ES256".
func (k *Key) Algorithm() string {
	if k == nil || k.key == nil {
		return ""
	}
	return string(k.key.Algorithm())
}

// ID is the kid.
func (k *Key) ID() string {
	if k == nil || k.key == nil {
		return ""
	}
	return k.key.ID()
}

// WithOwner returns the key with a mark of the key source's own, which the tokens
// that it verifies give back ([Verified.Owner]).
func (k *Key) WithOwner(owner any) *Key { return &Key{key: k.key, owner: owner} }

// Hint is what an unverified token says of itself, to find its key by. Nothing of
// it is proven.
type Hint struct {
	Algorithm string
	KeyID     string // kid, "" if absent
	Issuer    string // iss, "" if absent or not a string
	Token     string // all of it, for a source that goes by another claim; never to be logged
}

// KeySource finds verification keys. Safe for concurrent use.
type KeySource interface {
	// Find returns the keys that may have signed a token, best first; the verifier
	// tries at most four. [ErrUnknownKey] if there is none.
	Find(ctx context.Context, h Hint) ([]*Key, error)
	// Generation changes whenever an answer of Find may have changed. It is called
	// on each verification and must be cheap.
	Generation() uint64
}

// StaticKeys is a [KeySource] of keys that never change. It refuses keys of mixed
// symmetry and repeated kids.
func StaticKeys(keys ...*Key) (KeySource, error) {
	inner := make([]*jose.Key, len(keys))
	for i, k := range keys {
		if k == nil || k.key == nil {
			return nil, errors.New("key is nil")
		}
		inner[i] = k.key
	}
	if _, err := jose.NewSet(inner...); err != nil {
		return nil, malformedKey(err)
	}
	return newKeyList(keys), nil
}

// ParseJWKS reads a JWKS document (RFC 7517 §5) of at most 1 MiB as a [KeySource] that
// never changes. Keys for encryption and ones of unknown type are skipped.
func ParseJWKS(data []byte) (KeySource, error) {
	l, err := parseKeyList(data)
	if err != nil {
		return nil, err
	}
	if len(l.keys) == 0 {
		return nil, errors.New("key set holds no signature key")
	}
	return l, nil
}

// keyList finds keys by kid, and by algorithm for tokens that name none.
type keyList struct {
	keys  []*Key
	byKid map[string][]*Key // one key each: what Find returns without allocation
	byAlg map[string][]*Key
}

func newKeyList(keys []*Key) *keyList {
	l := &keyList{keys, make(map[string][]*Key, len(keys)), map[string][]*Key{}}
	for _, k := range keys {
		if k.ID() != "" {
			l.byKid[k.ID()] = []*Key{k}
		}
		l.byAlg[k.Algorithm()] = append(l.byAlg[k.Algorithm()], k)
	}
	return l
}

func parseKeyList(data []byte) (*keyList, error) {
	set, err := jose.ParseSet(data)
	if err != nil {
		return nil, malformedKey(err)
	}
	keys := make([]*Key, len(set.Keys()))
	for i, k := range set.Keys() {
		keys[i] = &Key{key: k}
	}
	return newKeyList(keys), nil
}

// Find returns the key that kid names. A token without kid gets the keys of its
// algorithm; so does any token if there is one key and that key has no kid.
func (l *keyList) Find(_ context.Context, h Hint) ([]*Key, error) {
	found := l.byKid[h.KeyID]
	switch {
	case h.KeyID == "":
		if found = l.byAlg[h.Algorithm]; found == nil && len(l.keys) == 1 {
			found = l.keys // the verifier says that the algorithm is not the key's
		}
	case len(l.keys) == 1 && l.keys[0].ID() == "":
		found = l.keys
	}
	if len(found) == 0 {
		return nil, ErrUnknownKey
	}
	return found, nil
}

// Generation is constant: the keys do not change.
func (*keyList) Generation() uint64 { return 1 }

func malformedKey(err error) error {
	if e, ok := errors.AsType[*jose.FormError](err); ok {
		return fmt.Errorf("key: %s", e.Reason)
	}
	return err
}
