package connector

import (
	"encoding/json"
	"errors"
	"net/netip"
	"time"
)

// Group shuts actors out whose calls fail again and again, each time for longer. It has
// the shape of ServisBOT's restriction groups.
type Group struct {
	ID          string // what a connector's RestrictionGroup names
	Name        string
	evaluations []evaluation
	identifiers []string
	steps       []penalty
}

// evaluation tells which statuses count: 0 is that of a call without an answer.
type evaluation struct {
	comparison string
	value      int
}

// penalty is what an actor is in for a while.
type penalty struct {
	restrict bool
	ttl      time.Duration
}

// The identifiers that make an actor.
const (
	ByAddress   = "ipAddress"
	ByCustomer  = "customerReference"
	ByAccess    = "restrictedAccess"
	maxPenalty  = 7 * 24 * 60 * 60 // seconds
	maxOfGroups = 32               // evaluations, or steps
)

// ParseGroup reads a group, which is a JSON object. Errors are as those of [Parse].
func ParseGroup(doc []byte, opts Options) (*Group, []Warning, error) {
	v, err := decode(doc)
	if err != nil {
		return nil, nil, err
	}
	k := &checker{strict: opts.Strict}
	o := k.object("", v)
	g := &Group{ID: o.need("id"), Name: o.text("displayName")}
	for _, e := range o.elements("evaluations") {
		if e.need("key") != "statusCode" {
			k.bad(pointer(e.at, "key"), "must be statusCode")
		}
		g.evaluations = append(g.evaluations, evaluation{
			e.choice("comparison", "EQUALS", "NOT_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL"),
			e.number("value", 0, 0, 999),
		})
		e.done()
	}
	identifiers, at := o.list("identifiers")
	if len(identifiers) == 0 {
		k.bad(at, "must name at least one of %s, %s and %s", ByAddress, ByCustomer, ByAccess)
	}
	for i, v := range identifiers {
		name, _ := v.(string)
		if name != ByAddress && name != ByCustomer && name != ByAccess {
			k.bad(pointer(at, itoa(i)), "must be %s, %s or %s", ByAddress, ByCustomer, ByAccess)
		}
		g.identifiers = append(g.identifiers, name)
	}
	for _, s := range o.elements("steps") {
		ttl := s.number("ttl", 1, 1, maxPenalty)
		g.steps = append(g.steps, penalty{s.flag("restrictOnFail"), time.Duration(ttl) * time.Second})
		s.done()
	}
	o.done()
	if err := k.err(); err != nil {
		return nil, nil, err
	}
	return g, k.warnings, nil
}

// elements are those of a member that must be a list of objects, and not an empty one.
func (o *object) elements(name string) (out []*object) {
	list, at := o.list(name)
	if len(list) == 0 || len(list) > maxOfGroups {
		o.bad(at, "must be a list of 1 to %d", maxOfGroups)
	}
	for i, v := range list {
		out = append(out, o.object(pointer(at, itoa(i)), v))
	}
	return out
}

// Actor is who makes a call: values by the names of identifiers.
type Actor map[string]string

// NewActor is who calls from an address as a customer; empty: nobody in particular. Of
// IPv6 the /64 is what counts, since whoever has one address of it has them all.
func NewActor(from netip.Addr, customer string) Actor {
	from = from.Unmap()
	network, _ := from.Prefix(min(from.BitLen(), 64)) // its only error is an invalid address
	a := Actor{ByAddress: network.String()}
	if customer != "" {
		a[ByCustomer], a[ByAccess] = customer, customer
	}
	return a
}

// key is the actor as g knows it. What an actor lacks is a value like any other.
func (g *Group) key(a Actor) (string, error) {
	parts := make([]*string, len(g.identifiers))
	for i, name := range g.identifiers {
		if v, ok := a[name]; ok {
			parts[i] = &v
		}
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return "", errors.New("actor has no key")
	}
	return digest(text), nil
}

// counts tells whether a call with the status is one against the actor.
func (g *Group) counts(status int) bool {
	for _, e := range g.evaluations {
		if e.matches(status) {
			return true
		}
	}
	return false
}

func (e evaluation) matches(status int) bool {
	switch e.comparison {
	case "NOT_EQUAL":
		return status != e.value
	case "GREATER_THAN":
		return status > e.value
	case "GREATER_THAN_OR_EQUAL":
		return status >= e.value
	case "LESS_THAN":
		return status < e.value
	case "LESS_THAN_OR_EQUAL":
		return status <= e.value
	}
	return status == e.value
}

// Standing is where an actor stands in a group: in a step, until a time. The zero
// Standing is that of who did nothing.
type Standing struct {
	Step  int // from 1; 0: none
	Until time.Time
}

// Active tells whether the step is still in effect.
func (s Standing) Active(now time.Time) bool { return s.Step > 0 && now.Before(s.Until) }

// next is the standing after a call that counts.
func (g *Group) next(s Standing, now time.Time) Standing {
	step := 1
	if s.Active(now) {
		step = min(s.Step+1, len(g.steps))
	}
	return Standing{step, now.Add(g.steps[step-1].ttl)}
}

// wait is how long the actor is shut out; 0: not at all.
func (g *Group) wait(s Standing, now time.Time) time.Duration {
	// A group may have lost steps since.
	if !s.Active(now) || !g.steps[min(s.Step, len(g.steps))-1].restrict {
		return 0
	}
	return s.Until.Sub(now)
}
