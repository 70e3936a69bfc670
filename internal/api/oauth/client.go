package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

// assertionType is the one client_assertion_type there is (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authMethods are how a client proves who it is, by their registered names. Public apps
// prove nothing: "none".
var authMethods = []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}

// proof is what a client shows of itself, in one way.
type proof struct {
	id        app.ID
	secret    secret.Bytes
	assertion string
}

// nameOnly tells whether the client says at most who it is.
func (p proof) nameOnly() bool { return p.secret.Len() == 0 && p.assertion == "" }

// readProof refuses a client that proves who it is in more than one way (RFC 6749 §2.3).
func readProof(r *http.Request, p params) (proof, error) {
	by := proof{app.ID(p["client_id"]), secret.FromString(p["client_secret"]), p["client_assertion"]}
	headers := r.Header.Values("Authorization")
	ways := len(headers)
	for _, name := range [...]string{"client_secret", "client_assertion"} {
		if p[name] != "" {
			ways++
		}
	}
	switch kind := p["client_assertion_type"]; {
	case len(headers) > 1:
		return by, fault.New(fault.Invalid, "the Authorization header is given twice")
	case ways > 1:
		return by, fault.New(fault.Invalid, "the client must authenticate in one way: by the Authorization header, by client_secret or by client_assertion")
	case by.assertion == "" && kind != "", by.assertion != "" && kind == "":
		return by, fault.BadField("client_assertion_type", "and client_assertion must be given together")
	case kind != "" && kind != assertionType:
		return by, errClient
	case len(headers) == 1:
		id, given, ok := basic(r)
		if !ok {
			return by, errClient
		}
		if by.id != "" && by.id != id {
			return by, fault.BadField("client_id", "must be the client of the Authorization header, or be left out")
		}
		return proof{id: id, secret: secret.FromString(given)}, nil
	}
	return by, nil
}

// basic reads HTTP Basic credentials, each form-encoded once more as RFC 6749
// §2.3.1 has it.
func basic(r *http.Request) (id app.ID, given string, ok bool) {
	rawID, rawSecret, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	name, err := url.QueryUnescape(rawID)
	if err != nil {
		return "", "", false
	}
	given, err = url.QueryUnescape(rawSecret)
	return app.ID(name), given, err == nil && given != ""
}

// basicChallenge tells whether the client tried the Authorization header, so that
// the refusal must challenge (RFC 6749 §5.2).
func basicChallenge(r *http.Request) bool {
	return strings.TrimSpace(r.Header.Get("Authorization")) != ""
}

// client is the app that the request proves to be of. A public app has nothing to show
// but its id. It is nil if the request names no client at all.
func (h *Handler) client(ctx context.Context, by proof, per *limit.Limiter) (*app.App, error) {
	switch {
	case by.assertion != "":
		return h.asserted(ctx, by, per)
	case by.nameOnly() && by.id == "":
		return nil, nil
	case by.nameOnly():
		if a, ok := h.c.Apps.Find(by.id); ok && a.Public && !a.Disabled {
			return a, nil // not limited: anyone could use its limit up
		}
	}
	a, err := h.c.Apps.Authenticate(ctx, by.id, by.secret, h.c.Clock())
	if err != nil {
		return nil, err
	}
	return a, h.count(a, per)
}

// asserted is the app that signed the assertion, which is about that app itself.
func (h *Handler) asserted(ctx context.Context, by proof, per *limit.Limiter) (*app.App, error) {
	as, err := h.c.Assertions.Read(ctx, by.assertion)
	if err != nil {
		return nil, err
	}
	if as.Subject != string(as.App) || by.id != "" && by.id != as.App {
		return nil, errClient
	}
	return h.use(ctx, as, per)
}

// use takes an assertion in the name of the app that signed it. It is counted before it
// is noted, so that no app fills the store.
func (h *Handler) use(ctx context.Context, as token.Assertion, per *limit.Limiter) (*app.App, error) {
	a, ok := h.c.Apps.Find(as.App)
	if !ok || a.Disabled {
		return nil, errClient
	}
	if err := h.count(a, per); err != nil {
		return nil, err
	}
	return a, h.c.Assertions.Use(ctx, as)
}

func (h *Handler) count(a *app.App, per *limit.Limiter) error {
	if ok, after := per.Allow(string(a.ID), h.c.Clock()); !ok {
		return limited(after)
	}
	return nil
}
