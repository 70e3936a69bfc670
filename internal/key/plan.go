package key

import (
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// plan is a change of keys in the making: a copy of them all, as of one instant,
// and which of them to save.
type plan struct {
	now     time.Time
	sketch  bool // make no private keys: nothing will be saved
	keys    []*Key
	changed []*Key
	saved   bool // what has changed
}

func newPlan(now time.Time, keys []Key) *plan {
	p := &plan{now: now}
	for _, k := range keys {
		p.keys = append(p.keys, &k)
	}
	return p
}

// in returns the keys of a set's algorithm that are in a state.
func (p *plan) in(state State, set SetName, alg jose.Algorithm) []*Key {
	var found []*Key
	for _, k := range p.keys {
		if k.Set == set && k.Public.Algorithm() == alg && k.State(p.now) == state {
			found = append(found, k)
		}
	}
	return found
}

// signing are the keys of a set's algorithm that sign or will, the newest first.
func (p *plan) signing(set SetName, alg jose.Algorithm) []*Key {
	keys := append(p.in(Pending, set, alg), p.in(Active, set, alg)...)
	slices.SortFunc(keys, newestFirst)
	return keys
}

// due counts the keys that sign and are so old that their successors must be
// published now. None is due while others are pending.
func (p *plan) due(spec *Spec, alg jose.Algorithm) (n int) {
	if spec.Rotation == 0 || len(p.in(Pending, spec.Name, alg)) > 0 {
		return 0
	}
	keys := p.signing(spec.Name, alg)
	for _, k := range keys[:min(spec.Active, len(keys))] {
		if !p.now.Before(k.Active.Add(spec.Rotation - spec.PublishAhead)) {
			n++
		}
	}
	return n
}

// lasting counts the ones of signing that are not planned to stop.
func (p *plan) lasting(set SetName, alg jose.Algorithm) (n int) {
	for _, k := range p.signing(set, alg) {
		if k.Retire.IsZero() {
			n++
		}
	}
	return n
}

func (p *plan) add(k *Key) {
	p.keys = append(p.keys, k)
	p.change(k)
}

func (p *plan) change(k *Key) {
	if !slices.Contains(p.changed, k) {
		p.changed = append(p.changed, k)
	}
}

// copies are the keys to save.
func (p *plan) copies() []Key {
	copies := make([]Key, len(p.changed))
	for i, k := range p.changed {
		copies[i] = *k
	}
	return copies
}

// first tells whether there was no key before.
func (p *plan) first() bool {
	return !slices.ContainsFunc(p.keys, func(k *Key) bool { return !k.Created.Equal(p.now) })
}

// start lets a pending key sign at once.
func (p *plan) start(k *Key) {
	k.Active = p.now
	p.change(k)
}

// end lets k sign until at, and verify for a while longer. It never lets k sign
// longer than was planned.
func (p *plan) end(k *Key, at time.Time, verification time.Duration) {
	if !k.Retire.IsZero() && !at.Before(k.Retire) {
		return
	}
	k.Retire, k.Expire = at, time.Time{}
	if verification != Forever {
		k.Expire = at.Add(verification)
	}
	p.change(k)
}

// succeed lets the newest keys of the algorithm sign, as many as the set has, and
// no other once the last of them has started.
func (p *plan) succeed(spec *Spec, alg jose.Algorithm) {
	keys := p.signing(spec.Name, alg)
	for _, k := range keys[min(spec.Active, len(keys)):] {
		p.end(k, keys[0].Active, spec.Verification)
	}
}

// heal makes sure that an algorithm that lost a key keeps a signer, and as many as
// the set has, as far as the keys there are can: a pending one starts at once, and
// active ones that waited for the lost key go on. It reports whether there is a signer.
func (p *plan) heal(spec *Spec, alg jose.Algorithm) bool {
	keys := p.signing(spec.Name, alg)
	if len(keys) == 0 {
		return false
	}
	if len(p.in(Active, spec.Name, alg)) == 0 {
		p.start(keys[0])
	}
	missing := spec.Active - p.lasting(spec.Name, alg)
	for _, k := range keys {
		if missing > 0 && !k.Retire.IsZero() {
			k.Retire, k.Expire = time.Time{}, time.Time{}
			p.change(k)
			missing--
		}
	}
	return true
}
