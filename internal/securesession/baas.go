package securesession

import (
	"context"
	"encoding/json"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/wire"
)

// NewBaas returns the authorizer of type baas: the API that a connector calls. The call
// takes no longer than the policy's Timeout.
func NewBaas(p *Policy, c *connector.Client) Authorizer { return &baas{p, c} }

type baas struct {
	policy *Policy
	client *connector.Client
}

func (b *baas) Revision() string { return b.client.Revision() }

func (b *baas) Learn(ctx context.Context) { b.client.Learn(ctx) }

func (b *baas) Read(object json.RawMessage) (Inputs, bool) {
	in, err := connector.ParseInput(object)
	if err != nil {
		return nil, true
	}
	values, missing := b.client.Reads(in)
	inputs := make(Inputs, len(values))
	for _, v := range values {
		if inputs[v.Name] = v.JSON; v.Err != nil {
			inputs[v.Name] = json.RawMessage(v.Err.Error()) // no JSON, and so unlike any value
		}
	}
	return inputs, len(missing) > 0
}

func (b *baas) Check(ctx context.Context, _ Key, s Subject) Answer {
	ctx, cancel := context.WithTimeout(ctx, b.policy.Timeout)
	defer cancel()
	in, err := connector.ParseInput(s.Context)
	if err != nil {
		return unmappable
	}
	return b.answer(b.client.Execute(ctx, connector.Call{Input: in.WithoutNull(), Actor: s.Actor, Timeout: b.policy.Timeout}))
}

// unmappable is of an input, or a response, that the connector's document does not fit.
var unmappable = Answer{Class: Misconfigured, Detail: "mapping"}

// answer makes of a call's result what it says about the user.
func (b *baas) answer(r connector.Result) Answer {
	a := Answer{Class: b.policy.classify(r)}
	a.Detail, _ = r.Class()
	if r.Err != nil {
		a.RetryAfter = r.Err.RetryAfter
	}
	if a.Class != Barred { // whose time is the operator's word
		a.RetryAfter = min(a.RetryAfter, maxRetryAfter)
	}
	if a.Class != Yes {
		return a
	}
	if r.MaxAge != connector.NoMaxAge {
		a.MaxAge, a.Bounded = r.MaxAge, true
	}
	if err := a.output(r); err != nil {
		return unmappable
	}
	return a
}

// output takes over what the connector's mapping made of the response, if it has one.
func (a *Answer) output(r connector.Result) error {
	members := map[string]any{}
	if r.Response != nil {
		object, ok := r.Response.(map[string]any)
		if !ok {
			return errNoObject
		}
		members = object
	}
	if r.Headers != nil {
		members["headers"] = r.Headers
	}
	if len(members) == 0 {
		return nil
	}
	if _, ok := members["state"]; ok {
		return errState
	}
	var err error
	a.Output, err = wire.JSON(members)
	return err
}
