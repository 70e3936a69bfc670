package oauth

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// beginner issues what only a code brings.
type beginner interface {
	Begin(ctx context.Context, r token.AccessRequest) (token.Pair, token.Family, error)
	Identity(ctx context.Context, r token.IdentityRequest) (string, error)
	IdentityAlgorithm() jose.Algorithm
}

// code gives an app tokens for an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5,
// OpenID Connect Core §3.1.3). All are signed before the code is used: a node that cannot
// sign right now must not take the code from the client.
func (h *Handler) code(r *http.Request, a *app.App, p params) (answer, error) {
	for _, name := range [...]string{"code", "code_verifier"} {
		if p[name] == "" {
			return answer{}, fault.BadField(name, "must not be empty")
		}
	}
	ctx := r.Context()
	c, err := h.c.SignIns.Redeem(ctx, signin.Redemption{
		Code: secret.FromString(p["code"]), App: a.ID, RedirectURI: p["redirect_uri"], Verifier: p["code_verifier"],
	})
	if err != nil {
		return answer{}, err
	}
	switch active, err := h.c.Users.Active(ctx, c.Subject); {
	case err != nil:
		return answer{}, err
	case !active:
		return answer{}, badCode("is of a subject who may not go on")
	}
	scope := signin.Kept(a, c.Scope)
	if scope == "" && c.Scope != "" {
		return answer{}, badCode("is for nothing that the client may still have")
	}
	scopes := strings.Fields(scope)
	request := token.AccessRequest{App: a.ID, Subject: c.Subject, Scope: scope, Algorithm: a.AccessAlgorithm, SignIn: c.Session}
	var pair token.Pair
	var family *token.Family
	if slices.Contains(scopes, signin.Offline) && a.May(app.RefreshToken) {
		var f token.Family
		pair, f, err = h.c.Tokens.Begin(ctx, request)
		family = &f
	} else {
		pair.Access, err = h.c.Tokens.Access(ctx, request)
	}
	if err != nil {
		return answer{}, err
	}
	to := answerOf(pair)
	if slices.Contains(scopes, signin.OpenID) {
		who := token.IdentityRequest{App: a.ID, Subject: c.Subject, Nonce: c.Nonce, AuthTime: c.AuthTime, Access: pair.Token}
		if slices.Contains(scopes, signin.Profile) {
			who.Name = c.Name
		}
		if to.IDToken, err = h.c.Tokens.Identity(ctx, who); err != nil {
			return answer{}, err
		}
	}
	if err := h.c.SignIns.Use(ctx, c, pair.Access, family); err != nil {
		return answer{}, err
	}
	return to, nil
}

func badCode(why string) error {
	return fault.Wrap(fault.Unauthenticated, "the code is not good", fmt.Errorf("%w: it %s", token.ErrGrant, why))
}
