package token

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
)

// MaxActors is how many may act one for the other in one token.
const MaxActors = 4

// Actor is who acts for the subject of a token, and for whom that one acted before (act,
// RFC 8693 §4.1).
type Actor struct {
	Subject string `json:"sub"`
	Before  *Actor `json:"act,omitempty"`
}

// Exchange asks for a token of another's (RFC 8693). Both tokens are verified.
type Exchange struct {
	App      *app.App         // who asks
	Subject  *carnet.Verified // of whom the new token is
	Actor    *carnet.Verified // who acts for them; nil: App
	Audience string           // empty: the configured one
	Scope    string           // empty: all of the subject's token
}

// Exchange gives a token of the subject's that says who acts for them. It has no more
// scope than the subject's own, and ends with that one and with the actor's; whoever takes
// the subject's token back, or the sign-in that it is of, takes it back, too.
func (i *Issuer) Exchange(ctx context.Context, x Exchange) (Access, error) {
	actor, err := i.actor(x)
	if err != nil {
		return Access{}, err
	}
	scope := x.Subject.Scope()
	if x.Scope != "" {
		if scope, err = Grant(x.Scope, strings.Fields(scope)); err != nil {
			return Access{}, err
		}
	}
	expires := earliest(x.Subject, x.Actor)
	if expires.Sub(i.c.Clock()) < time.Second {
		return Access{}, refuseExchange("subject_token", "it, or that of the actor, is about to expire")
	}
	return i.Access(ctx, AccessRequest{
		App: x.App.ID, Subject: x.Subject.Subject(), Scope: scope, Audience: x.Audience, Algorithm: x.App.AccessAlgorithm,
		Actor: actor, Expires: expires, SignIn: x.Subject.ID(),
	})
}

// actor is who acts in the new token.
func (i *Issuer) actor(x Exchange) (*Actor, error) {
	a := &Actor{Subject: string(x.App.ID)}
	if x.Actor != nil {
		if x.Actor.HasClaim("act") {
			return nil, refuseExchange("actor_token", "somebody acts for the actor already")
		}
		a.Subject = x.Actor.Subject()
	}
	if err := i.mayAct(x.Subject, a.Subject); err != nil {
		return nil, err
	}
	if !x.Subject.HasClaim("act") {
		return a, nil
	}
	if err := x.Subject.Claim("act", &a.Before); err != nil {
		return nil, refuseExchange("subject_token", "its act cannot be read")
	}
	depth := 0
	for one := a; one != nil; one = one.Before {
		depth++
	}
	if depth > MaxActors {
		return nil, refuseExchange("subject_token", fmt.Sprintf("has been passed on %d times, as often as it may be", MaxActors))
	}
	return a, nil
}

// mayAct looks at who the token says may act for its subject (may_act, RFC 8693 §4.4).
// A token that says nothing lets anybody who may exchange it at all.
func (i *Issuer) mayAct(subject *carnet.Verified, actor string) error {
	if !subject.HasClaim("may_act") {
		return nil
	}
	var may map[string]json.RawMessage
	if err := subject.Claim("may_act", &may); err != nil || may["sub"] == nil {
		return refuseExchange("subject_token", "its may_act cannot be read")
	}
	for name, want := range map[string]string{"sub": actor, "iss": i.c.Issuer} {
		var is string
		if raw, ok := may[name]; ok && (json.Unmarshal(raw, &is) != nil || is != want) {
			return refuseExchange("subject_token", "its may_act names another actor")
		}
		delete(may, name)
	}
	if len(may) > 0 {
		return refuseExchange("subject_token", "its may_act asks for more than sub and iss")
	}
	return nil
}

// earliest is when the first of the tokens expires.
func earliest(tokens ...*carnet.Verified) (first time.Time) {
	for _, t := range tokens {
		if t == nil {
			continue
		}
		if at, ok := t.Expiry(); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

func refuseExchange(field, why string) error {
	return fault.BadField(field, "may not be exchanged: "+why)
}
