// Package consumer knows who a token may stand for, and by which keys it is proven.
//
// Everything here is immutable once made: a request that holds a credential is not
// disturbed by the set that replaces it, and no request can change it for another.
package consumer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// Consumer is a party that tokens stand for.
type Consumer struct {
	ID       string // a UUID that follows from Username, so that it outlives a restart
	Username string
	CustomID string   // what the operator's other systems call it; "" if nothing
	Groups   []string // what it may do, as access lists name it
}

// New makes a consumer. It takes ownership of groups.
func New(username, customID string, groups []string) *Consumer {
	return &Consumer{ID: nameID("consumer", username), Username: username, CustomID: customID, Groups: groups}
}

// Name is what people know c by.
func (c *Consumer) Name() string { return cmp.Or(c.Username, c.CustomID, c.ID) }

// In tells whether c is in any of the groups.
func (c *Consumer) In(groups []string) bool {
	return slices.ContainsFunc(c.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// GroupList is the groups as X-Consumer-Groups lists them.
func (c *Consumer) GroupList() string { return strings.Join(c.Groups, ", ") }

// Credential is one way to prove to be a consumer: by tokens whose issuer is Key
// and that one of its keys verifies.
type Credential struct {
	ID       string // a UUID that follows from Key, or the store's
	Consumer *Consumer
	Key      string         // the iss of the tokens, or the prefix of it
	Policy   *carnet.Policy // what the tokens must claim besides; nil: nothing

	keys      []*carnet.Key
	named     bool
	symmetric bool
	secret    secret.Bytes
	remote    carnet.KeySource
	holder    *holder // of the registry that looked it up; nil: it is not one of the store
	mark      uint64  // what a [Sketch] knows it by
}

// NewCredential makes a credential. A token that it verifies gives it back as its owner.
func NewCredential(c *Consumer, key string, m Material, policy *carnet.Policy) *Credential {
	cred := &Credential{
		ID: nameID("credential", key), Consumer: c, Key: key, Policy: policy,
		named: m.Named, secret: m.Secret, remote: m.Remote,
	}
	for _, k := range m.Keys {
		cred.keys = append(cred.keys, k.WithOwner(cred))
		cred.symmetric = cred.symmetric || jose.Algorithm(k.Algorithm()).Symmetric()
	}
	return cred
}

// Symmetric tells whether any of the keys could sign as well as verify.
func (c *Credential) Symmetric() bool { return c.symmetric }

// nameID is the UUID of a thing that has a name (RFC 9562 §5.5).
func nameID(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:carnet:"+kind+":"+name)).String()
}
