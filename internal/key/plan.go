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
	keys    []*Key
	changed []*Key
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

// newest is the one of in that begins to sign last, nil if there is none.
func (p *plan) newest(state State, set SetName, alg jose.Algorithm) *Key {
	var newest *Key
	for _, k := range p.in(state, set, alg) {
		if newest == nil || startsAfter(k, newest) {
			newest = k
		}
	}
	return newest
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

// succeed lets next, and after its start no other key of its algorithm, sign.
func (p *plan) succeed(next *Key, verification time.Duration) {
	for _, state := range []State{Pending, Active} {
		for _, k := range p.in(state, next.Set, next.Public.Algorithm()) {
			if k != next {
				p.end(k, next.Active, verification)
			}
		}
	}
}

// heal makes sure that an algorithm that lost a key keeps a signer, as far as the
// keys there are can: a pending one starts at once, or an active one that waited
// for the lost key goes on. It reports whether there is a signer.
func (p *plan) heal(set SetName, alg jose.Algorithm) bool {
	active, pending := p.newest(Active, set, alg), p.newest(Pending, set, alg)
	switch {
	case active == nil && pending == nil:
		return false
	case active == nil:
		p.start(pending)
	case pending == nil && !active.Retire.IsZero():
		active.Retire, active.Expire = time.Time{}, time.Time{}
		p.change(active)
	}
	return true
}
