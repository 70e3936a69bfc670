package jose

import (
	"bytes"
	"slices"
)

// Set is an immutable list of keys, all symmetric or all asymmetric, no kid twice.
// The zero Set is empty.
type Set struct {
	keys    []*Key
	skipped []error
}

// NewSet makes a set of keys. A mixed set would let a public key be taken for a
// secret; a repeated kid would leave the choice to the reader.
func NewSet(keys ...*Key) (*Set, error) {
	ids := make(map[string]bool, len(keys))
	for _, k := range keys {
		if k.alg.Symmetric() != keys[0].alg.Symmetric() {
			return nil, malformed("key", "set mixes secrets and public keys")
		}
		if k.id != "" && ids[k.id] {
			return nil, malformed("key", "set has a kid twice")
		}
		if k.id == "" && len(keys) > 1 {
			return nil, malformed("key", "set of several keys has one without a kid")
		}
		ids[k.id] = true
	}
	return &Set{keys: slices.Clone(keys)}, nil
}

// ParseSet reads a JWKS document (RFC 7517 §5) of at most [MaxJWKS] bytes. Keys that
// are not for signatures, or of a type or algorithm that is not supported, or
// weak, are skipped ([Set.Skipped]); a set that [NewSet] refuses is refused.
func ParseSet(data []byte) (*Set, error) {
	if len(data) > MaxJWKS {
		return nil, malformed("key", "key set document is too large")
	}
	var o, member Object
	if err := o.Parse(data); err != nil {
		return nil, err
	}
	list := o.Lookup("keys")
	if list.Kind != Array || o.lookAlike([]string{"keys"}) {
		return nil, malformed("key", "a key set needs an array called keys")
	}
	var keys []*Key
	var skipped []error
	kinds, ids := map[bool]bool{}, map[string]bool{}
	for v := range list.Elements() {
		if err := member.Parse(v.Raw); err != nil {
			return nil, malformed("key", "keys must be objects")
		}
		kty, _ := member.Lookup("kty").Text()
		kinds[kty == "oct"] = true
		if kid, ok := member.Lookup("kid").Text(); ok { // a skipped key's name is taken too
			if ids[kid] {
				return nil, malformed("key", "set has a kid twice")
			}
			ids[kid] = true
		}
		k, err := parseJWK(&member)
		if err != nil {
			skipped = append(skipped, err)
			continue
		}
		keys = append(keys, k)
	}
	if len(kinds) > 1 {
		return nil, malformed("key", "set mixes secrets and public keys")
	}
	s, err := NewSet(keys...)
	if err != nil {
		return nil, err
	}
	s.skipped = skipped
	return s, nil
}

// Keys returns the keys in their order. The caller must not change the slice.
func (s *Set) Keys() []*Key { return s.keys }

// Skipped tells why keys of the parsed document are not in the set.
func (s *Set) Skipped() []error { return s.skipped }

// Find returns the key called kid, nil if there is none.
func (s *Set) Find(kid string) *Key {
	for _, k := range s.keys {
		if k.id == kid {
			return k
		}
	}
	return nil
}

// MarshalJSON writes the public keys as a JWKS document. It refuses secrets.
func (s *Set) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for i, k := range s.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := k.MarshalJWK()
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	b.WriteString(`]}`)
	return b.Bytes(), nil
}
