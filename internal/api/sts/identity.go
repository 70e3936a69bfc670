package sts

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// visit is a request whose app is known.
type visit struct {
	request
	app    *app.App
	proven bool // the app's secret was shown
	addr   netip.Addr
	header http.Header
	bearer string
}

// identify returns the subject that the visitor has proven to be, empty for an
// anonymous one. Who asks to be anonymous is, in every mode.
func (h *Handler) identify(ctx context.Context, v visit) (string, error) {
	if v.anonymous {
		return "", nil
	}
	if v.identity != "" && !token.ValidSubject(v.identity) {
		return "", fault.BadField("identity", "must be at most 256 bytes of UTF-8 without control characters")
	}
	switch v.app.Identity {
	case app.Token:
		return h.byToken(ctx, v)
	case app.Trusted:
		return byTrust(v)
	case app.Connector:
		return h.byConnector(ctx, v)
	default:
		if v.identity != "" {
			return "", fault.New(fault.Denied,
				"this app signs anonymous sessions only: leave identity out, or have its identity mode changed")
		}
		return "", nil
	}
}

// byToken believes an access token of this issuer. Without one, and without an
// identity, the visitor is anonymous.
func (h *Handler) byToken(ctx context.Context, v visit) (string, error) {
	if v.bearer == "" {
		if v.identity != "" {
			return "", refused(errors.New("identity without an access token"))
		}
		return "", nil
	}
	subject, err := h.c.Verifier.Subject(ctx, v.bearer, v.app.ID)
	if fault.KindOf(err) == fault.Unavailable {
		return "", err
	}
	if err != nil {
		return "", refused(err)
	}
	if v.identity != "" && v.identity != subject {
		return "", refused(errors.New("identity is not the access token's subject"))
	}
	return subject, nil
}

// byTrust believes whoever shows the app's secret, from its networks if it has any.
func byTrust(v visit) (string, error) {
	switch {
	case v.identity == "":
		return "", nil
	case !v.proven:
		return "", refused(errors.New("identity without the app's secret"))
	case len(v.app.TrustedNetworks) > 0 && !within(v.app.TrustedNetworks, v.addr):
		return "", refused(errors.New("identity from outside the app's networks"))
	}
	return v.identity, nil
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
