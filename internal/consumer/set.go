package consumer

import "fmt"

// Set finds the credentials and the consumers of the configuration. It never changes.
type Set struct {
	byKey     map[string]*Credential
	byKid     map[string]*Credential // nil where several have it
	consumers map[string]*Consumer   // by username and by id
}

// NewSet refuses two credentials with the same key: a token could stand for either.
func NewSet(consumers []*Consumer, credentials []*Credential) (*Set, error) {
	s := &Set{
		byKey:     make(map[string]*Credential, len(credentials)),
		byKid:     map[string]*Credential{},
		consumers: make(map[string]*Consumer, 2*len(consumers)),
	}
	for _, c := range consumers {
		s.consumers[c.ID] = c
	}
	for _, c := range consumers { // names win: an id is made of one, by nobody's choice
		s.consumers[c.Username] = c
	}
	for _, c := range credentials {
		if first, taken := s.byKey[c.Key]; taken {
			return nil, fmt.Errorf("credential %q of %s is also one of %s", c.Key, c.Consumer.Username, first.Consumer.Username)
		}
		s.byKey[c.Key] = c
		if c.named {
			s.name(c)
		}
	}
	return s, nil
}

// name makes c known by the kids of its keys. A kid that another credential has, too,
// is nobody's.
func (s *Set) name(c *Credential) {
	for _, k := range c.keys {
		if k.ID() == "" || c.symmetric {
			continue
		}
		if _, taken := s.byKid[k.ID()]; taken {
			s.byKid[k.ID()] = nil
		} else {
			s.byKid[k.ID()] = c
		}
	}
}

// Find returns the credential for tokens whose issuer is key, nil if there is none.
func (s *Set) Find(key string) *Credential { return s.byKey[key] }

// Signer returns the credential whose keys include the one of that kid, nil if there
// is none or no single one.
func (s *Set) Signer(kid string) *Credential { return s.byKid[kid] }

// Consumer returns the one of that username or id, nil if there is none.
func (s *Set) Consumer(name string) *Consumer { return s.consumers[name] }

// CheckPrefix tells why the credential for key cannot verify the devices of a prefix:
// there is none, or each device that shares its secret could sign for all others.
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
