package sts

import (
	"net/netip"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
)

// noteClient notes a request with a wrong secret, or for an app that there is not.
func (h *Handler) noteClient(id app.ID, from netip.Addr, err error) {
	if fault.KindOf(err) != fault.Unauthenticated {
		return
	}
	h.c.Audit.Note(audit.Entry{Actor: audit.Actor{Kind: audit.App}, Action: audit.AppAuthenticate, Object: string(id), Outcome: audit.Refused}, from)
}

// note notes a request for a session of somebody by name: one that was refused, or each if
// that is wished for.
func (h *Handler) note(v visit, err error) {
	if v.app.Identity == app.Anonymous || err == nil && !h.c.Audit.Tokens() {
		return
	}
	e := audit.Entry{
		Actor: audit.Actor{Kind: audit.App, Name: string(v.app.ID)}, Action: audit.SessionIssue, Object: v.identity, Outcome: audit.OutcomeOf(err),
		Details: map[audit.Detail]string{audit.Way: string(v.app.Identity)},
	}
	if err != nil {
		e.Details[audit.Reason] = fault.KindOf(err).String()
	}
	h.c.Audit.Note(e, v.addr)
}
