package consumer

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/secret"
)

// Material is the keys of a credential. It has Keys or Remote, or nothing: then the
// credential is known and verifies no token.
type Material struct {
	Keys []*carnet.Key // best first
	// Named says that tokens tell by kid which of the keys signed them. If not, a
	// kid is not looked at: it was never agreed what it means.
	Named bool
	// Secret is what the one symmetric key was made of. It is needed where a route
	// reads secrets as base64.
	Secret secret.Bytes
	// Remote are asymmetric keys that are fetched from Key, their issuer.
	Remote carnet.KeySource
}

// ErrNoMaterial says that a credential has nothing to verify with, or a secret that
// cannot be read as the route wants it to be.
var ErrNoMaterial = errors.New("credential has no usable key or secret")

// Keys returns those that may have signed a token that says h of itself.
// [carnet.ErrUnknownKey] if none has the kid, [carnet.ErrKeysUnavailable] if they
// cannot be fetched now.
func (c *Credential) Keys(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	switch {
	case c.remote != nil:
		return c.fetched(ctx, h)
	case len(c.keys) == 0 && !c.named:
		return nil, ErrNoMaterial
	}
	keys := c.candidates(h.Algorithm, h.KeyID)
	if len(keys) == 0 {
		return nil, carnet.ErrUnknownKey
	}
	return keys, nil
}

// Decoded is [Credential.Keys] where the secret is base64, in either alphabet, padded
// or not. For keys that are no secrets there is no difference.
func (c *Credential) Decoded(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	keys, err := c.Keys(ctx, h)
	if err != nil || !c.symmetric || h.Algorithm != keys[0].Algorithm() {
		return keys, err // of another algorithm: for the verifier to refuse
	}
	text := strings.NewReplacer("-", "+", "_", "/").Replace(string(c.secret.Reveal()))
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, ErrNoMaterial
	}
	k, err := carnet.ImportedSecretKey(h.Algorithm, "", plain)
	if err != nil {
		return nil, ErrNoMaterial
	}
	return []*carnet.Key{k.WithOwner(c)}, nil
}

// Named tells whether a kid means something for this credential.
func (c *Credential) Named() bool { return c.named || c.remote != nil }

// fetched asks the issuer, by the name under which it publishes.
func (c *Credential) fetched(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	h.Issuer = c.Key
	found, err := c.remote.Find(ctx, h)
	if err != nil {
		return nil, err
	}
	keys := make([]*carnet.Key, len(found))
	for i, k := range found {
		keys[i] = k.WithOwner(c)
	}
	return keys, nil
}

// candidates are the keys that fit an algorithm and a kid; kid is "" if the token
// names none. A key of another algorithm is among them only where there is no better
// one, so that the verifier can say what is wrong.
func (c *Credential) candidates(alg, kid string) []*carnet.Key {
	if !c.named {
		return c.keys
	}
	if kid != "" {
		i := slices.IndexFunc(c.keys, func(k *carnet.Key) bool { return k.ID() == kid })
		if i < 0 {
			return nil
		}
		return c.keys[i : i+1 : i+1]
	}
	var fit []*carnet.Key
	for _, k := range c.keys {
		if k.Algorithm() == alg {
			fit = append(fit, k)
		}
	}
	if fit == nil {
		return c.keys
	}
	return fit
}
