package oauth

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

// accessTokenType is the one type of tokens that are exchanged, and given (RFC 8693 §3).
const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// exchange gives an app a token of the subject of another one, in which the app, or the
// subject of the actor's token, acts (RFC 8693).
func (h *Handler) exchange(r *http.Request, a *app.App, p params) (answer, error) {
	if kind := p["requested_token_type"]; kind != "" && kind != accessTokenType {
		return answer{}, fault.BadField("requested_token_type", "must be "+accessTokenType+", or be left out")
	}
	if p["subject_token"] == "" {
		return answer{}, fault.BadField("subject_token", "must not be empty")
	}
	subject, err := h.shown(r.Context(), a, p, "subject_token")
	if err != nil {
		return answer{}, err
	}
	actor, err := h.shown(r.Context(), a, p, "actor_token")
	if err != nil {
		return answer{}, err
	}
	audience, err := h.target(a, p)
	if err != nil {
		return answer{}, err
	}
	access, err := h.c.Tokens.Exchange(r.Context(), token.Exchange{
		App: a, Subject: subject, Actor: actor, Audience: audience, Scope: p["scope"],
	})
	if err != nil {
		return answer{}, err
	}
	to := answerOf(token.Pair{Access: access})
	to.IssuedTokenType = accessTokenType
	return to, nil
}

// shown is the token of a parameter, nil if there is none: one that is good, that a may
// see, and whose subject may go on.
func (h *Handler) shown(ctx context.Context, a *app.App, p params, name string) (*carnet.Verified, error) {
	text, kind := p[name], p[name+"_type"]
	switch {
	case text == "" && kind == "":
		return nil, nil
	case text == "":
		return nil, fault.BadField(name, "must be given with "+name+"_type")
	case kind != accessTokenType:
		return nil, fault.BadField(name+"_type", "must be "+accessTokenType)
	}
	bad := func(why error) error {
		return &fault.Error{Kind: fault.Invalid, Field: name, Msg: "must be a good access token of this server that the client may see", Err: why}
	}
	t, err := h.c.Access.Verify(ctx, text)
	if err != nil {
		return nil, bad(err)
	}
	if !h.sees(a, t) {
		return nil, bad(fmt.Errorf("it is for %q and of another client", t.Audience()))
	}
	switch active, err := h.active(ctx, t.Subject()); {
	case err != nil:
		return nil, err
	case !active:
		return nil, bad(fault.New(fault.Denied, "its subject may not go on"))
	}
	return t, nil
}

// sees tells whether a token is any business of a's: it was issued to it, or is for an
// audience that it answers for.
func (h *Handler) sees(a *app.App, t *carnet.Verified) bool {
	if revocation.Of(t).App == string(a.ID) {
		return true
	}
	answers := a.Audiences
	if len(answers) == 0 {
		answers = []string{h.c.Audience}
	}
	return slices.ContainsFunc(t.Audience(), func(aud string) bool { return slices.Contains(answers, aud) })
}

// active tells whether the subject of a token may go on, who is an app or a user.
func (h *Handler) active(ctx context.Context, subject string) (bool, error) {
	if a, ok := h.c.Apps.Find(app.ID(subject)); ok {
		return !a.Disabled, nil
	}
	return h.c.Users.Active(ctx, subject)
}

// target is the audience that the client asks a token for, by resource (RFC 8707) or
// audience (RFC 8693 §2.1); "" for the deployment's own.
func (h *Handler) target(a *app.App, p params) (string, error) {
	wanted, field := p["resource"], "resource"
	if wanted == "" {
		wanted, field = p["audience"], "audience"
	}
	switch {
	case wanted == "":
		return "", nil
	case p["audience"] != "" && p["audience"] != wanted:
		return "", fault.BadField("audience", "and resource must name one target")
	case wanted != h.c.Audience && !slices.Contains(a.Targets, wanted):
		return "", fault.BadField(field, "is not one that this app may ask tokens for")
	}
	return wanted, nil
}
