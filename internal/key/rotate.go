package key

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// saveAttempts bounds how often a change is planned anew because another process
// took the number of a new key.
const saveAttempts = 4

// change plans on what the store holds now, saves, and takes the result over.
func (r *Ring) change(ctx context.Context, edit func(*plan) error) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	for attempt := 1; ; attempt++ {
		if err := r.load(ctx); err != nil {
			return err
		}
		// Whole milliseconds, which is what stores keep.
		p := newPlan(r.clock().Truncate(time.Millisecond), r.current.Load().keys)
		if err := edit(p); err != nil || len(p.changed) == 0 {
			return err
		}
		changed := make([]Key, len(p.changed))
		for i, k := range p.changed {
			changed[i] = *k
		}
		err := r.store.SaveKeys(ctx, changed...)
		if fault.KindOf(err) == fault.Conflict && attempt < saveAttempts {
			continue
		}
		if err != nil {
			return err
		}
		return r.load(context.WithoutCancel(ctx)) // it is saved: this node must know
	}
}

// Ensure makes the first key of each algorithm of each set that has no signer and
// will have none. It signs at once, since there is no older one that verifiers
// would have known.
func (r *Ring) Ensure(ctx context.Context) error {
	return r.change(ctx, func(p *plan) error { return r.each(p, r.ensure) })
}

// RotateDue rotates what is so old that its successor must be published now, and
// does what Ensure does. Call it every now and then.
func (r *Ring) RotateDue(ctx context.Context) error {
	return r.change(ctx, func(p *plan) error {
		return r.each(p, func(p *plan, spec *Spec, alg jose.Algorithm) error {
			if err := r.ensure(p, spec, alg); err != nil {
				return err
			}
			active := p.newest(Active, spec.Name, alg)
			if spec.Rotation == 0 || active == nil || p.newest(Pending, spec.Name, alg) != nil ||
				p.now.Before(active.Active.Add(spec.Rotation-spec.PublishAhead)) {
				return nil
			}
			return r.rotate(p, spec, alg, false)
		})
	})
}

// RotateOptions are the choices of a rotation by hand.
type RotateOptions struct {
	Algorithm jose.Algorithm // empty: all of the set
	// Now lets the new key, or the pending one if there is one, sign at once.
	// Verifiers that have not looked at the set since refuse its tokens until they do.
	Now bool
}

// Rotate makes a key that is published now and signs after the set's publish-ahead
// time, when the one before it stops. While a key is pending that is a conflict,
// unless the pending one is to sign at once.
func (r *Ring) Rotate(ctx context.Context, name SetName, o RotateOptions) error {
	spec := r.spec(name)
	if spec == nil {
		return fault.Newf(fault.NotFound, "no key set %s", name)
	}
	algorithms := spec.Algorithms
	if o.Algorithm != "" {
		if !slices.Contains(algorithms, o.Algorithm) {
			return fault.BadField("algorithm", fmt.Sprintf("key set %s has %v", name, algorithms))
		}
		algorithms = []jose.Algorithm{o.Algorithm}
	}
	return r.change(ctx, func(p *plan) error {
		for _, alg := range algorithms {
			if err := r.rotate(p, spec, alg, o.Now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Retire stops a key from signing; it verifies for the set's verification time.
// If a pending key is all that is left to sign, that one starts at once. To retire
// the last signer is a conflict: rotate first.
func (r *Ring) Retire(ctx context.Context, kid string) error {
	return r.change(ctx, func(p *plan) error {
		k, spec, err := r.find(p, kid)
		if err != nil {
			return err
		}
		if state := k.State(p.now); state != Active {
			return fault.Newf(fault.Conflict, "key %s is %s, not active", kid, state)
		}
		p.end(k, p.now, spec.Verification)
		if !p.heal(k.Set, k.Public.Algorithm()) {
			return fault.Newf(fault.Conflict, "key %s is the only one that signs %s in set %s: rotate first",
				kid, k.Public.Algorithm(), k.Set)
		}
		return nil
	})
}

// Revoke makes a key unusable at once: what it signed is refused from now on. If
// it signed, its successor starts at once, and is made if there is none; on a node
// without the signing master key, the next node that has it makes it.
// To revoke a revoked key changes nothing.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	return r.change(ctx, func(p *plan) error {
		k, spec, err := r.find(p, kid)
		if err != nil {
			return err
		}
		state := k.State(p.now)
		if state == Revoked {
			return nil
		}
		k.Revoked = p.now
		p.change(k)
		if alg := k.Public.Algorithm(); state <= Active && !p.heal(k.Set, alg) &&
			r.box != nil && slices.Contains(spec.Algorithms, alg) {
			_, err = r.generate(p, spec, alg, p.now)
		}
		return err
	})
}

// each calls do for every algorithm of every set, until one fails.
func (r *Ring) each(p *plan, do func(*plan, *Spec, jose.Algorithm) error) error {
	for i := range r.specs {
		for _, alg := range r.specs[i].Algorithms {
			if err := do(p, &r.specs[i], alg); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Ring) ensure(p *plan, spec *Spec, alg jose.Algorithm) error {
	if p.newest(Active, spec.Name, alg) != nil || p.newest(Pending, spec.Name, alg) != nil {
		return nil
	}
	_, err := r.generate(p, spec, alg, p.now)
	return err
}

func (r *Ring) rotate(p *plan, spec *Spec, alg jose.Algorithm, now bool) error {
	next := p.newest(Pending, spec.Name, alg)
	if next != nil && !now {
		return fault.Newf(fault.Conflict, "key %s of set %s is pending until %s",
			next.Public.ID(), spec.Name, next.Active.UTC().Format(time.RFC3339))
	}
	if next != nil {
		p.start(next)
	} else {
		start := p.now
		if !now && p.newest(Active, spec.Name, alg) != nil {
			start = start.Add(spec.PublishAhead)
		}
		var err error
		if next, err = r.generate(p, spec, alg, start); err != nil {
			return err
		}
	}
	p.succeed(next, spec.Verification)
	return nil
}

func (r *Ring) find(p *plan, kid string) (*Key, *Spec, error) {
	for _, k := range p.keys {
		if k.Public.ID() == kid {
			return k, r.spec(k.Set), nil
		}
	}
	return nil, nil, fault.Newf(fault.NotFound, "no key %s", kid)
}

// generate adds a new key to the plan.
func (r *Ring) generate(p *plan, spec *Spec, alg jose.Algorithm, active time.Time) (*Key, error) {
	if r.box == nil {
		return nil, fault.New(fault.Denied, "this node has no signing master key: run it where the door issue is open")
	}
	private, err := jose.Generate(alg, nextKid(spec, p.keys))
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	plain, err := private.MarshalPrivateJWK()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	sealed, err := r.box.Seal(purpose(spec.Name, private.ID()), plain)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	k := &Key{Set: spec.Name, Public: private.Public(), Sealed: sealed, Created: p.now, Active: active}
	p.add(k)
	return k, nil
}

// nextKid numbers on from the highest number that the set ever gave, so that a kid
// never comes back. Without a prefix it is empty: the thumbprint.
func nextKid(spec *Spec, keys []*Key) string {
	if spec.KidPrefix == "" {
		return ""
	}
	highest := 0
	for _, k := range keys {
		digits, ok := strings.CutPrefix(k.Public.ID(), spec.KidPrefix)
		if n, err := strconv.Atoi(digits); ok && err == nil && k.Set == spec.Name {
			highest = max(highest, n)
		}
	}
	return spec.KidPrefix + strconv.Itoa(highest+1)
}
