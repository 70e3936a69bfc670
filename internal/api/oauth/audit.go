package oauth

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// reason is what the log says of a refusal: its kind, and never what was shown.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return fault.KindOf(err).String()
}

// noteSignIn notes a try to be the user of a name.
func (h *Handler) noteSignIn(name string, at app.ID, from netip.Addr, err error) {
	e := audit.Entry{
		Actor: audit.Actor{Kind: audit.User}, Action: audit.UserSignIn, Object: name, Outcome: audit.OutcomeOf(err),
		Details: map[audit.Detail]string{audit.ByApp: string(at), audit.Reason: reason(err)},
	}
	if err == nil {
		e.Actor.Name = name
	}
	h.c.Audit.Note(e, from)
}

// noteUser notes what somebody who is signed in does with their account.
func (h *Handler) noteUser(r *http.Request, b *browser, a audit.Action, place string, err error) {
	h.c.Audit.Note(audit.Entry{
		Actor: audit.Actor{Kind: audit.User, Name: b.session.Name}, Action: a, Object: b.session.Subject, Outcome: audit.OutcomeOf(err),
		Details: map[audit.Detail]string{audit.Place: place, audit.Reason: reason(err)},
	}, h.c.ClientAddr(r))
}

// noteClient notes a client that is not who it says. Others are not noted: they are all
// requests there are.
func (h *Handler) noteClient(r *http.Request, by proof, err error) {
	if fault.KindOf(err) != fault.Unauthenticated {
		return
	}
	e := audit.Entry{
		Actor: audit.Actor{Kind: audit.App}, Action: audit.AppAuthenticate, Object: string(by.id), Outcome: audit.Refused,
	}
	if errors.Is(err, token.ErrReplay) {
		e.Action = audit.AssertionReplay
	}
	h.c.Audit.Note(e, h.c.ClientAddr(r))
}

// replays are the actions of showing once more what a grant takes once.
var replays = map[app.Grant]audit.Action{
	app.AuthorizationCode: audit.CodeReplay, app.RefreshToken: audit.RefreshTokenReplay, app.JWTBearer: audit.AssertionReplay,
}

// noteGrant notes what was shown once more, and tokens that were issued, if that is wished
// for. The app may be nil.
func (h *Handler) noteGrant(r *http.Request, g app.Grant, a *app.App, err error) {
	e := audit.Entry{Actor: audit.Actor{Kind: audit.App}, Details: map[audit.Detail]string{audit.Grant: g.Short()}}
	if a != nil {
		e.Actor.Name, e.Object = string(a.ID), string(a.ID)
	}
	switch {
	case err == nil && h.c.Audit.Tokens():
		e.Action = audit.TokenIssue
	case errors.Is(err, token.ErrReplay):
		e.Action, e.Outcome = replays[g], audit.Refused
	default:
		return
	}
	h.c.Audit.Note(e, h.c.ClientAddr(r))
}
