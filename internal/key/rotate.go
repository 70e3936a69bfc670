package key

import (
	"cmp"
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
// changed the keys meanwhile.
const saveAttempts = 4

// change is alter where every key opens that should sign: else a key might be made, or
// begin to sign in another's place, that nobody can sign with.
func (r *Ring) change(ctx context.Context, edit func(*plan) error) error {
	return r.alter(ctx, func(p *plan) error {
		if err := r.current.Load().unopened; err != nil {
			return err
		}
		return edit(p)
	})
}

// alter plans on what the store holds now, saves, and takes the result over.
func (r *Ring) alter(ctx context.Context, edit func(*plan) error) error {
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
		err := r.store.SaveKeys(ctx, r.seen, p.copies()...)
		if fault.KindOf(err) == fault.Conflict && attempt < saveAttempts {
			continue
		}
		if err != nil {
			return err
		}
		p.saved = true
		return r.load(context.WithoutCancel(ctx)) // this node must know
	}
}

// decide is change for what nobody has asked for, which is told.
func (r *Ring) decide(ctx context.Context, edit func(*plan) error) error {
	var last *plan
	err := r.change(ctx, func(p *plan) error {
		last = p
		return edit(p)
	})
	if last != nil && last.saved && !last.first() {
		changed := last.copies()
		slices.SortFunc(changed, inOrder)
		r.decided(ctx, changed)
	}
	return err
}

// Ensure makes the keys that an algorithm of a set lacks of those that should sign.
// The first ones sign at once, since there are no older ones that verifiers would
// have known.
func (r *Ring) Ensure(ctx context.Context) error {
	return r.decide(ctx, func(p *plan) error { return r.each(ctx, p, r.ensure) })
}

// RotateDue rotates what is so old that its successor must be published now, and
// does what Ensure does. Call it every now and then.
func (r *Ring) RotateDue(ctx context.Context) error {
	return r.decide(ctx, func(p *plan) error {
		return r.each(ctx, p, func(ctx context.Context, p *plan, spec *Spec, alg jose.Algorithm) error {
			if err := r.ensure(ctx, p, spec, alg); err != nil {
				return err
			}
			return r.replace(ctx, p, spec, alg, p.due(spec, alg), p.now.Add(spec.PublishAhead))
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
// time, when the oldest one that signs stops. While a key is pending that is a
// conflict, unless the pending one is to sign at once.
func (r *Ring) Rotate(ctx context.Context, name SetName, o RotateOptions) error {
	return r.change(ctx, func(p *plan) error { return r.rotateSet(ctx, p, name, o) })
}

// NewKid is the kid that [Ring.Rotation] gives a key whose kid would be its thumbprint.
const NewKid = "new"

// Rotation returns the keys that Rotate would make or change, as they would be. It
// changes nothing, and refuses what Rotate would refuse.
func (r *Ring) Rotation(ctx context.Context, name SetName, o RotateOptions) (changed []Key, err error) {
	err = r.change(ctx, func(p *plan) error {
		p.sketch = true
		if err := r.rotateSet(ctx, p, name, o); err != nil {
			return err
		}
		changed, p.changed = p.copies(), nil
		return nil
	})
	slices.SortFunc(changed, inOrder)
	return changed, err
}

func (r *Ring) rotateSet(ctx context.Context, p *plan, name SetName, o RotateOptions) error {
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
	for _, alg := range algorithms {
		if err := r.rotate(ctx, p, spec, alg, o.Now); err != nil {
			return err
		}
	}
	return nil
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
		if !p.heal(spec, k.Public.Algorithm()) {
			return fault.Newf(fault.Conflict, "key %s is the only one that signs %s in set %s: rotate first",
				kid, k.Public.Algorithm(), k.Set)
		}
		return nil
	})
}

// Revoke makes a key unusable at once: what it signed is refused from now on. If
// it signed, its successor starts at once, and is made if there is none; on a node
// without the signing master key, or that cannot open a key, the next node that can
// makes it. To revoke a revoked key changes nothing.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	return r.alter(ctx, func(p *plan) error {
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
		alg := k.Public.Algorithm()
		if state > Active || !slices.Contains(spec.Algorithms, alg) {
			return nil
		}
		p.heal(spec, alg)
		if r.keeper == nil || r.current.Load().unopened != nil {
			return nil
		}
		return r.ensure(ctx, p, spec, alg)
	})
}

// each calls do for every algorithm of every set, until one fails.
func (r *Ring) each(ctx context.Context, p *plan, do func(context.Context, *plan, *Spec, jose.Algorithm) error) error {
	for i := range r.specs {
		for _, alg := range r.specs[i].Algorithms {
			if err := do(ctx, p, &r.specs[i], alg); err != nil {
				return err
			}
		}
	}
	return nil
}

// ensure makes the keys that lack. Where others sign meanwhile they are published ahead.
func (r *Ring) ensure(ctx context.Context, p *plan, spec *Spec, alg jose.Algorithm) error {
	start := p.now
	if len(p.in(Active, spec.Name, alg)) > 0 {
		start = start.Add(spec.PublishAhead)
	}
	for range spec.Active - p.lasting(spec.Name, alg) {
		if err := r.generate(ctx, p, spec, alg, start); err != nil {
			return err
		}
	}
	return nil
}

// replace makes n keys that start then, and lets the oldest ones stop.
func (r *Ring) replace(ctx context.Context, p *plan, spec *Spec, alg jose.Algorithm, n int, start time.Time) error {
	for range n {
		if err := r.generate(ctx, p, spec, alg, start); err != nil {
			return err
		}
	}
	if n > 0 {
		p.succeed(spec, alg)
	}
	return nil
}

func (r *Ring) rotate(ctx context.Context, p *plan, spec *Spec, alg jose.Algorithm, now bool) error {
	pending := p.in(Pending, spec.Name, alg)
	switch {
	case len(pending) == 0 && (now || len(p.in(Active, spec.Name, alg)) == 0):
		return r.replace(ctx, p, spec, alg, 1, p.now)
	case len(pending) == 0:
		return r.replace(ctx, p, spec, alg, 1, p.now.Add(spec.PublishAhead))
	case !now:
		return fault.Newf(fault.Conflict, "key %s of set %s is pending until %s",
			pending[0].Public.ID(), spec.Name, pending[0].Active.UTC().Format(time.RFC3339))
	}
	for _, k := range pending {
		p.start(k)
	}
	p.succeed(spec, alg)
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
func (r *Ring) generate(ctx context.Context, p *plan, spec *Spec, alg jose.Algorithm, active time.Time) error {
	if err := r.signs(); err != nil {
		return err
	}
	create, kid := r.keeper.create, nextKid(spec, p.keys)
	if p.sketch {
		create = sketch
	}
	public, kept, err := create(ctx, spec, alg, kid)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	p.add(&Key{Set: spec.Name, Public: public, Sealed: kept, Created: p.now, Active: active})
	return nil
}

// sketch stands for a keeper's create where the key is only to be shown.
func sketch(_ context.Context, _ *Spec, alg jose.Algorithm, kid string) (public *jose.Key, kept string, err error) {
	k, err := jose.Generate(alg, cmp.Or(kid, NewKid))
	if err != nil {
		return nil, "", err
	}
	return k.Public(), "", nil
}

// signs refuses on a node that cannot keep a private key.
func (r *Ring) signs() error {
	if r.keeper == nil {
		return fault.New(fault.Denied, "this node has no signing master key: run it where the door issue is open")
	}
	return nil
}

// nextKid numbers on from the highest number that the set ever gave, so that a kid
// never comes back. Without a prefix it is empty: the thumbprint.
func nextKid(spec *Spec, keys []*Key) string {
	if spec.KidPrefix == "" {
		return ""
	}
	highest := 0
	for _, k := range keys {
		if n, ok := spec.number(k.Public.ID()); ok && k.Set == spec.Name {
			highest = max(highest, n)
		}
	}
	return spec.KidPrefix + strconv.Itoa(highest+1)
}

// number reads a kid of a set that numbers its keys.
func (s *Spec) number(kid string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(kid, s.KidPrefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n > 0 && digits == strconv.Itoa(n)
}
