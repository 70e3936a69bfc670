package gateway

import (
	"bytes"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

// demands are what a route verifies of a token's claims. Kong verifies none unless told
// to; its clock ticks in seconds, and leeway is ours.
type demands struct {
	exp, nbf bool
	ahead    time.Duration // how far exp may lie ahead; 0: any
	leeway   time.Duration // how far clocks may differ
	audience []string      // aud must hold one; none: any
	required []required    // by name
}

// required is a claim that must be there and, if values are listed, be one of them.
type required struct {
	claim  string
	values []string
}

func newDemands(j *JWT) demands {
	d := demands{
		exp:      slices.Contains(j.ClaimsToVerify, "exp"),
		nbf:      slices.Contains(j.ClaimsToVerify, "nbf"),
		ahead:    time.Duration(j.MaximumExpiration) * time.Second,
		leeway:   time.Duration(j.Leeway) * time.Second,
		audience: slices.Clone(j.Audience),
	}
	for _, claim := range slices.Sorted(maps.Keys(j.RequiredClaims)) {
		d.required = append(d.required, required{claim, slices.Clone(j.RequiredClaims[claim])})
	}
	return d
}

// What can be at fault with a claim, as the body says it.
const (
	notNumber   = "must be a number"
	expPast     = "token expired"
	expFar      = "exceeds maximum allowed expiration"
	nbfAhead    = "token not valid yet"
	audOther    = "is not this audience"
	claimAbsent = "is required"
	claimOther  = "is not one of the values required"
)

// faults are the claims at fault as the members of a JSON object.
type faults string

func (f *faults) add(claim, what string) {
	if *f != "" {
		*f += ","
	}
	*f += faults(quote(claim) + ":" + quote(what))
}

func (f faults) object() string { return "{" + string(f) + "}" }

// check names every claim at fault.
func (d *demands) check(t *carnet.Verified, now time.Time) failure {
	now = now.Truncate(time.Second)
	var f faults
	exp, expOK := t.Expiry()
	nbf, nbfOK := t.NotBefore()
	switch {
	case !d.exp:
	case !expOK:
		f.add("exp", notNumber)
	case !exp.After(now.Add(-d.leeway)):
		f.add("exp", expPast)
	}
	switch {
	case !d.nbf:
	case !nbfOK:
		f.add("nbf", notNumber)
	case nbf.After(now.Add(d.leeway)):
		f.add("nbf", nbfAhead)
	}
	if d.audience != nil && !slices.ContainsFunc(t.Audience(), func(a string) bool { return slices.Contains(d.audience, a) }) {
		f.add("aud", audOther)
	}
	if d.required != nil {
		d.require(t, &f)
	}
	switch {
	case f != "":
		return failure{verdict: claimRefused, body: f.object()}
	case d.ahead > 0 && exp.Sub(now) > d.ahead:
		f.add("exp", expFar)
		return failure{verdict: tooFarAhead, body: f.object()}
	default:
		return failure{}
	}
}

// require checks the claims that must be there.
func (d *demands) require(t *carnet.Verified, f *faults) {
	var claim jose.Value // one for all, since it moves to the heap
	for i := range d.required {
		switch c := &d.required[i]; {
		case t.Claim(c.claim, &claim) != nil || claim.Kind == jose.Null:
			f.add(c.claim, claimAbsent)
		case len(c.values) > 0 && !c.has(claim):
			f.add(c.claim, claimOther)
		}
	}
}

// has tells whether a claim, or one of its list, is one of the values.
func (c *required) has(claim jose.Value) (found bool) {
	for v := range each(claim) {
		text, ok := textOf(v)
		if !ok {
			return false
		}
		found = found || slices.ContainsFunc(c.values, func(want string) bool { return string(text) == want })
	}
	return found
}

// each yields the values of a list, or what is no list itself.
func each(claim jose.Value) iter.Seq[jose.Value] {
	return func(yield func(jose.Value) bool) {
		if claim.Kind == jose.Array {
			claim.Elements()(yield)
		} else {
			yield(claim)
		}
	}
}

// textOf is a text, or a number or a boolean as it stands, false for anything else. The
// caller must not change it.
func textOf(v jose.Value) (text []byte, ok bool) {
	switch v.Kind {
	case jose.Number, jose.Bool:
		return v.Raw, true
	case jose.String:
		if plain := v.Raw[1 : len(v.Raw)-1]; bytes.IndexByte(plain, '\\') < 0 {
			return plain, true
		}
		s, ok := v.Text()
		return []byte(s), ok
	default:
		return nil, false
	}
}

// checkPolicy applies what a credential demands beyond the route. A time at fault
// is told as Kong tells it, anything else is just "Unauthorized".
func checkPolicy(p *carnet.Policy, t *carnet.Verified, now time.Time) failure {
	var f faults
	err := p.Check(t, now)
	switch {
	case err == nil:
		return failure{}
	case errors.Is(err, carnet.ErrExpired):
		f.add("exp", expPast)
	case errors.Is(err, carnet.ErrNotYetValid):
		f.add("nbf", nbfAhead)
	default:
		return failure{verdict: policyRefused, err: err}
	}
	return failure{claimRefused, f.object(), err}
}
