package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/carnetproject/carnet"
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
	for i := range d.required {
		d.required[i].check(t, &f)
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

func (c *required) check(t *carnet.Verified, f *faults) {
	values, _, there := texts(t, c.claim)
	switch {
	case !there:
		f.add(c.claim, claimAbsent)
	case len(c.values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return slices.Contains(c.values, v) }):
		f.add(c.claim, claimOther)
	}
}

// texts are the values of a claim: that of a text, a number or a boolean, or those of a
// list of these. there is false if the claim is missing or null; an object has none.
func texts(t *carnet.Verified, claim string) (values []string, isList, there bool) {
	var raw json.RawMessage
	if !t.HasClaim(claim) || t.Claim(claim, &raw) != nil {
		return nil, false, false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a number is told as it stands
	var value any
	if decoder.Decode(&value) != nil || value == nil {
		return nil, false, false
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, v := range list {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case json.Number:
			values = append(values, v.String())
		case bool:
			values = append(values, strconv.FormatBool(v))
		default:
			return nil, isList, true
		}
	}
	return values, isList, true
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
