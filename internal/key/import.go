package key

import (
	"context"
	"slices"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// ImportOptions are the choices of an import.
type ImportOptions struct {
	VerifyOnly bool // what the keys signed stays good, and they sign no more
	DryRun     bool // check everything, save nothing
}

// Import adds private keys of another installation to a set, under the kids that
// they have there, and returns those that the set did not have. They sign at once
// and count as the newest, the one of the highest number first: of more keys than
// sign at a time, and of those that signed before, the rest only verifies.
//
// It takes all keys or none. Refused are public keys, keys of an algorithm that the
// set does not have, kids that the set would not give, and a key that is there under
// another kid or in another set. Another key under the same kid is a conflict.
func (r *Ring) Import(ctx context.Context, name SetName, o ImportOptions, private ...*jose.Key) (added []Key, err error) {
	spec := r.spec(name)
	if spec == nil {
		return nil, fault.Newf(fault.NotFound, "no key set %s", name)
	}
	if err := r.signs(); err != nil {
		return nil, err
	}
	err = r.change(ctx, func(p *plan) error {
		var adopted []*Key
		for _, k := range private {
			stored, err := r.adopt(ctx, p, spec, k)
			if err != nil {
				return err
			}
			if stored == nil {
				continue
			}
			adopted = append(adopted, stored)
			if o.VerifyOnly {
				p.end(stored, p.now, spec.Verification)
			} else {
				p.succeed(spec, k.Algorithm())
			}
		}
		added = make([]Key, len(adopted))
		for i, k := range adopted {
			added[i] = *k
		}
		if o.DryRun {
			p.changed = nil
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// adopt adds one key to the plan. It returns nil if the set has it already.
func (r *Ring) adopt(ctx context.Context, p *plan, spec *Spec, private *jose.Key) (*Key, error) {
	kid := private.ID()
	if !private.CanSign() || private.Public() == nil {
		return nil, fault.Newf(fault.Invalid, "key %s has no private half", kid)
	}
	if !slices.Contains(spec.Algorithms, private.Algorithm()) {
		return nil, fault.Newf(fault.Invalid, "key %s is for %s: key set %s has %v", kid, private.Algorithm(), spec.Name, spec.Algorithms)
	}
	if _, ok := spec.number(kid); spec.KidPrefix != "" && !ok {
		return nil, fault.Newf(fault.Invalid, "key id %s must be %s and a number, as key set %s has them", kid, spec.KidPrefix, spec.Name)
	}
	if spec.KidPrefix == "" && kid != private.Thumbprint() {
		return nil, fault.Newf(fault.Invalid, "key id %s must be the thumbprint, as key set %s has no kid_prefix", kid, spec.Name)
	}
	for _, k := range p.keys {
		switch same := k.Public.Thumbprint() == private.Thumbprint(); {
		case same && k.Set == spec.Name && k.Public.Equal(private):
			return nil, nil
		case same:
			return nil, fault.Newf(fault.Conflict, "key %s is key %s of set %s", kid, k.Public.ID(), k.Set)
		case k.Set == spec.Name && k.Public.ID() == kid:
			return nil, fault.Newf(fault.Conflict, "set %s has another key %s, made at %s: import before the set's first key is made",
				spec.Name, kid, k.Created.UTC().Format("2006-01-02T15:04:05Z"))
		}
	}
	kept, err := r.keeper.adopt(ctx, spec.Name, private)
	if err != nil {
		return nil, err
	}
	k := &Key{Set: spec.Name, Public: private.Public(), Sealed: kept, Created: p.now, Active: p.now}
	p.add(k)
	return k, nil
}
