package authprofile

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// Authorizer is who a gate asks for bots with a policy of type authProfile: see
// [Broker.Authorizer].
type Authorizer struct {
	broker *Broker
	alias  string
	*provider
	api securesession.Authorizer // nil: the profile names no connector
}

// Authorizer lets in those who have signed in with the policy's profile. At each
// validation it calls what the profile names, the connector with the user's token at
// $.state.userToken of its input; without either, it refreshes the user's tokens if it
// can. The profile's connector comes with it, if it names one.
func (b *Broker) Authorizer(p *securesession.Policy, c *connector.Client) (*Authorizer, error) {
	alias := strings.ToLower(p.Alias)
	v := b.provider(alias)
	if v == nil {
		return nil, fault.Newf(fault.Invalid, "there is no auth profile %q", p.Alias)
	}
	a := &Authorizer{broker: b, alias: alias, provider: v}
	if (c != nil) != (v.Connector != "") {
		return nil, fault.Newf(fault.Invalid, "the auth profile %q needs its connector, if it names one", p.Alias)
	}
	if c != nil {
		a.api = securesession.NewBaas(p, c)
	}
	return a, nil
}

// Invite is the address at which the user of a conversation signs in; empty if there can
// be none.
func (a *Authorizer) Invite(k securesession.Key) string {
	address, err := a.broker.Invite(a.alias, k)
	if err != nil {
		return ""
	}
	return address
}

// Revision implements [securesession.Authorizer].
func (a *Authorizer) Revision() string {
	if a.api == nil {
		return a.provider.Revision()
	}
	return a.provider.Revision() + " " + a.api.Revision()
}

// Learn implements [securesession.Authorizer]. What cannot be had is for the calls to say.
func (a *Authorizer) Learn(ctx context.Context) {
	_, _, _ = a.credentials(ctx)
	if a.api != nil {
		a.api.Learn(ctx)
	}
}

// Read implements [securesession.Authorizer].
func (a *Authorizer) Read(object json.RawMessage) (securesession.Inputs, bool) {
	hint := shown(object)
	if hint == "" {
		return securesession.Inputs{Parameter: nil}, true
	}
	in, missing := securesession.Inputs{}, false
	if a.api != nil {
		if in, missing = a.api.Read(with(object, hint)); in == nil {
			return nil, missing
		}
	}
	in["$."+Parameter], _ = json.Marshal(hint) // a string always marshals
	return in, missing
}

// shown is the hint that a page has put into the context; empty if there is none.
func shown(object json.RawMessage) string {
	if _, err := connector.ParseInput(object); err != nil { // no member stands twice
		return ""
	}
	var members map[string]json.RawMessage
	var hint string
	if json.Unmarshal(object, &members) != nil || json.Unmarshal(members[Parameter], &hint) != nil {
		return ""
	}
	return hint
}

// with is the object with a value at $.state.userToken, where a context can have none.
func with(object json.RawMessage, token string) json.RawMessage {
	var members, state map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil || members == nil {
		return object
	}
	if json.Unmarshal(members["state"], &state) != nil || state == nil {
		state = map[string]json.RawMessage{}
	}
	state[Parameter], _ = json.Marshal(token) // as above
	members["state"], _ = json.Marshal(state) // of valid JSON
	extended, _ := json.Marshal(members)      // likewise
	return extended
}

// Check implements [securesession.Authorizer]. Where another node has changed the grant
// meanwhile, what is there now counts: of two that refresh at once, one is refused.
func (a *Authorizer) Check(ctx context.Context, k securesession.Key, s securesession.Subject) securesession.Answer {
	found, err := a.check(ctx, k, s)
	if errors.Is(err, errMoved) {
		found, err = a.check(ctx, k, s)
	}
	if err != nil {
		return a.answer(err)
	}
	return found
}

func (a *Authorizer) check(ctx context.Context, k securesession.Key, s securesession.Subject) (securesession.Answer, error) {
	g, t, err := a.find(ctx, k, shown(s.Context))
	if err != nil {
		return securesession.Answer{}, err
	}
	now := a.broker.c.Clock()
	asks := a.api != nil || a.UserInfo != ""
	stale := !t.expires.IsZero() && !now.Add(slack).Before(t.expires)
	if stale || !asks && t.refresh.Len() > 0 {
		if g, t, err = a.refresh(ctx, k, g, t); err != nil {
			return securesession.Answer{}, err
		}
	}
	found := a.ask(ctx, k, s, t)
	if found.Class == securesession.No && a.api == nil && t.refresh.Len() > 0 && !stale {
		if _, t, err = a.refresh(ctx, k, g, t); err != nil {
			return securesession.Answer{}, err
		}
		found = a.ask(ctx, k, s, t)
	}
	return a.bound(found, t), nil
}

// slack is how much before its end a token counts as expired, so that it lasts for a call.
const slack = 10 * time.Second

// find returns the grant of a conversation to who shows its hint. With the first call the
// grant stands until the sign-in ends.
func (a *Authorizer) find(ctx context.Context, k securesession.Key, hint string) (Grant, tokens, error) {
	b := a.broker
	now := b.c.Clock()
	g, err := b.c.Store.Grant(ctx, k, now)
	if fault.KindOf(err) == fault.NotFound {
		return Grant{}, tokens{}, errRefused
	}
	if err != nil {
		return Grant{}, tokens{}, errStore
	}
	of := digest(hint)
	if g.Profile != a.alias || subtle.ConstantTimeCompare(of[:], g.Hint[:]) != 1 {
		return Grant{}, tokens{}, errRefused
	}
	t, err := b.openTokens(k, g)
	if err != nil {
		return Grant{}, tokens{}, errRefused // another master key: the user signs in again
	}
	if g.Expires.Before(t.ends) {
		g.Expires = t.ends
		if g, err = a.swap(ctx, k, g); err != nil {
			return Grant{}, tokens{}, err
		}
	}
	return g, t, nil
}

var (
	errStore = errors.New("the store cannot be asked")
	errMoved = errors.New("another node has changed the grant meanwhile")
)

func (a *Authorizer) swap(ctx context.Context, k securesession.Key, g Grant) (Grant, error) {
	g, ok, err := a.broker.c.Store.SwapGrant(ctx, k, g)
	if err != nil {
		return Grant{}, errStore
	}
	if !ok {
		return Grant{}, errMoved
	}
	return g, nil
}

// refresh gets and keeps new tokens. A refusal ends the grant: the user signs in again.
func (a *Authorizer) refresh(ctx context.Context, k securesession.Key, g Grant, t tokens) (Grant, tokens, error) {
	err := errRefused
	if t.refresh.Len() > 0 {
		t, err = a.renew(ctx, t)
	}
	// What the provider has changed must be kept, though the call's time is over.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if errors.Is(err, errRefused) {
		switch removed, err := a.broker.c.Store.DeleteGrant(saving, k, g.Version); {
		case err != nil:
			return Grant{}, tokens{}, errStore
		case !removed:
			return Grant{}, tokens{}, errMoved
		}
	}
	if err != nil {
		return Grant{}, tokens{}, err
	}
	if g.Sealed, err = a.broker.sealTokens(k, t); err != nil {
		return Grant{}, tokens{}, errAnswer
	}
	g, err = a.swap(saving, k, g)
	return g, t, err
}

// ask calls what the profile names.
func (a *Authorizer) ask(ctx context.Context, k securesession.Key, s securesession.Subject, t tokens) securesession.Answer {
	switch {
	case a.api != nil:
		s.Context = with(s.Context, string(t.access.Reveal()))
		return a.api.Check(ctx, k, s)
	case a.UserInfo != "":
		return a.answer(a.inform(ctx, t))
	}
	return a.answer(nil)
}

// answer says to the gate what an error, or none, means.
func (a *Authorizer) answer(err error) securesession.Answer {
	switch {
	case err == nil:
		return securesession.Answer{Class: securesession.Yes, Detail: "2xx"}
	case errors.Is(err, errRefused):
		return securesession.Answer{Class: securesession.No, Detail: "4xx"}
	case errors.Is(err, errMisconfigured):
		return securesession.Answer{Class: securesession.Misconfigured, Detail: "misconfigured"}
	case errors.Is(err, context.DeadlineExceeded):
		return securesession.Answer{Class: securesession.Failure, Detail: "timeout"}
	}
	return securesession.Answer{Class: securesession.Failure, Detail: "5xx"}
}

// bound ends a yes with the sign-in, and with a token that nothing refreshes.
func (a *Authorizer) bound(found securesession.Answer, t tokens) securesession.Answer {
	if found.Class != securesession.Yes {
		return found
	}
	now := a.broker.c.Clock()
	left := t.ends.Sub(now)
	if t.refresh.Len() == 0 && !t.expires.IsZero() {
		left = min(left, t.expires.Sub(now))
	}
	if left = max(left, 0); !found.Bounded || left < found.MaxAge {
		found.Bounded, found.MaxAge = true, left
	}
	return found
}
