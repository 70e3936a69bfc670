package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

// maxKey bounds what is looked up, in bytes: an issuer of a device with the longest
// prefix, device and timestamp is shorter.
const maxKey = 512

// dialect is how a token says whose it is.
type dialect struct {
	claim    string   // the claim, or else header, that names the credential
	prefixes []string // those that a device follows in the claim iss, sorted
	denyBare bool     // a prefix alone names nobody
	kid      bool     // the header's kid names the credential instead, and iss the device
	decoded  bool     // secrets are base64
}

func newDialect(j *JWT) dialect {
	d := dialect{
		claim: j.KeyClaimName, prefixes: slices.Clone(j.IssuerPrefixes),
		denyBare: j.DenyBarePrefix == nil || *j.DenyBarePrefix, kid: j.KidLookup, decoded: j.SecretIsBase64,
	}
	if d.claim == "" {
		d.claim = issuerClaim
	}
	slices.Sort(d.prefixes)
	d.prefixes = slices.Compact(d.prefixes)
	d.denyBare = d.denyBare && len(d.prefixes) > 0
	return d
}

const issuerClaim = "iss"

// dialectID is a dialect that can be compared. Prefixes hold no blanks.
type dialectID struct {
	claim, prefixes        string
	denyBare, kid, decoded bool
}

func (d dialect) id() dialectID {
	return dialectID{d.claim, strings.Join(d.prefixes, " "), d.denyBare, d.kid, d.decoded}
}

// key is what a token names its credential by, given its claim iss. "" if that is
// missing or no text.
func (d *dialect) key(iss, token string) string {
	if iss != "" && d.claim == issuerClaim {
		return iss
	}
	v := lookup(token, d.claim)
	text, _ := v.Text()
	return text
}

// lookup returns the claim of that name, else the header of it. It trusts nothing.
func lookup(token, name string) jose.Value {
	header, rest, _ := strings.Cut(token, ".")
	claims, _, _ := strings.Cut(rest, ".")
	for _, part := range []string{claims, header} {
		var o jose.Object
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || o.Parse(text) != nil {
			continue
		}
		if v := o.Lookup(name); v.Kind != jose.Absent {
			return v
		}
	}
	return jose.Value{}
}

// source finds the keys for tokens in one dialect.
type source struct {
	ring    *keyring
	dialect dialect
}

// Find looks for the credential that the token names: a device's by prefix, any other
// by the whole key or, if the dialect says so, by kid. The form alone decides which,
// and what is not found in one way is not looked for in another. Who is known by more
// than a credential is known by the claim iss: a header beside it names no device.
func (s *source) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	key := s.dialect.key(h.Issuer, h.Token)
	if key == "" || !plausible(key) {
		return nil, carnet.ErrUnknownKey
	}
	if d, ok := parseIssuer(key, s.dialect.prefixes); ok {
		return s.device(ctx, d, h)
	}
	if s.dialect.denyBare && slices.Contains(s.dialect.prefixes, key) {
		return nil, carnet.ErrUnknownKey
	}
	find, name := s.ring.credential, key
	if s.dialect.kid && h.KeyID != "" {
		if h.Issuer == "" || !plausible(h.KeyID) {
			return nil, carnet.ErrUnknownKey
		}
		find, name = s.ring.signer, h.KeyID
	}
	c, err := find(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, carnet.ErrUnknownKey
	case s.dialect.decoded:
		return c.Decoded(ctx, h)
	default:
		return c.Keys(ctx, h)
	}
}

// plausible tells whether there can be a credential of that key. It keeps what no
// store could look up away from it.
func plausible(key string) bool { return len(key) <= maxKey && visible(key) }

// device returns the keys of a prefix. A kid chooses among them and, if the dialect
// says so, among those of the other credentials of the prefix's consumer.
func (s *source) device(ctx context.Context, d device, h carnet.Hint) ([]*carnet.Key, error) {
	if h.Issuer == "" || s.dialect.kid && !plausible(h.KeyID) {
		return nil, carnet.ErrUnknownKey
	}
	c, err := s.ring.credential(ctx, d.prefix)
	switch {
	case err != nil:
		return nil, err
	case c == nil || c.Symmetric(): // each device that shared its secret could sign for all others
		return nil, carnet.ErrUnknownKey
	case !s.dialect.kid || h.KeyID == "":
		return c.Keys(ctx, h)
	}
	if c.Named() {
		if keys, err := c.Keys(ctx, h); !errors.Is(err, carnet.ErrUnknownKey) {
			return keys, err
		}
	}
	other, err := s.ring.signer(ctx, h.KeyID)
	if err != nil {
		return nil, err
	}
	if other == nil || other.Consumer.ID != c.Consumer.ID {
		return nil, carnet.ErrUnknownKey
	}
	return other.Keys(ctx, h)
}

// Generation changes with the credentials.
func (s *source) Generation() uint64 { return s.ring.generation() }
