package consumer

import "fmt"

// Set finds credentials by the issuer of a token. It never changes.
type Set struct {
	byKey map[string]*Credential
}

// NewSet refuses two credentials with the same key: a token could stand for either.
func NewSet(credentials []*Credential) (*Set, error) {
	s := &Set{byKey: make(map[string]*Credential, len(credentials))}
	for _, c := range credentials {
		if first, taken := s.byKey[c.Key]; taken {
			return nil, fmt.Errorf("credential %q of %s is also one of %s", c.Key, c.Consumer.Username, first.Consumer.Username)
		}
		s.byKey[c.Key] = c
	}
	return s, nil
}

// Find returns the credential for tokens whose issuer is key, nil if there is none.
func (s *Set) Find(key string) *Credential { return s.byKey[key] }

// Prefix returns the credential that verifies all devices of a prefix, nil if
// there is none. A symmetric one is none: each device that shares its secret
// could sign for all others.
func (s *Set) Prefix(prefix string) *Credential {
	c := s.byKey[prefix]
	if c == nil || c.Symmetric() {
		return nil
	}
	return c
}

// CheckPrefix tells why [Set.Prefix] finds nothing, nil if it does find one.
func (s *Set) CheckPrefix(prefix string) error {
	switch c := s.byKey[prefix]; {
	case c == nil:
		return fmt.Errorf("no consumer has a credential with the key %q", prefix)
	case c.Symmetric():
		return fmt.Errorf("the credential %q must be asymmetric: with a shared secret every device could sign for every other", prefix)
	default:
		return nil
	}
}
