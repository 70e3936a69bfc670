// Package consumer knows who a token may stand for, and by which keys it is proven.
//
// Everything here is immutable once made: a request that holds a credential is not
// disturbed by the set that replaces it, and no request can change it for another.
package consumer

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
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

// In tells whether c is in any of the groups.
func (c *Consumer) In(groups []string) bool {
	return slices.ContainsFunc(c.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// GroupList is the groups as X-Consumer-Groups lists them.
func (c *Consumer) GroupList() string { return strings.Join(c.Groups, ", ") }

// Credential is one way to prove to be a consumer: by tokens whose issuer is Key
// and that one of its keys verifies.
type Credential struct {
	ID       string // a UUID that follows from Key
	Consumer *Consumer
	Key      string         // the iss of the tokens, or the prefix of it
	Policy   *carnet.Policy // what the tokens must claim besides; nil: nothing

	keys  []*carnet.Key
	named bool
}

// Material is the keys of a credential.
type Material struct {
	Keys []*carnet.Key // best first
	// Named says that tokens tell by kid which of the keys signed them. If not, a
	// kid is not looked at: it was never agreed what it means.
	Named bool
}

// NewCredential makes a credential. A token that it verifies gives it back as its owner.
func NewCredential(c *Consumer, key string, m Material, policy *carnet.Policy) *Credential {
	cred := &Credential{ID: nameID("credential", key), Consumer: c, Key: key, Policy: policy, named: m.Named}
	for _, k := range m.Keys {
		cred.keys = append(cred.keys, k.WithOwner(cred))
	}
	return cred
}

// Symmetric tells whether any of the keys could sign as well as verify.
func (c *Credential) Symmetric() bool {
	return slices.ContainsFunc(c.keys, func(k *carnet.Key) bool { return jose.Algorithm(k.Algorithm()).Symmetric() })
}

// Candidates returns the keys that may have signed a token with this algorithm
// and kid; kid is "" if it names none. A key of another algorithm is returned
// only where there is no better one, so that the verifier can say what is wrong.
func (c *Credential) Candidates(alg, kid string) []*carnet.Key {
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

// nameID is the UUID of a thing that has a name (RFC 9562 §5.5).
func nameID(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:carnet:"+kind+":"+name)).String()
}
