package kong

import (
	"cmp"
	"net/http"

	"github.com/carnetproject/carnet/internal/audit"
)

// verbs are what methods do, with kinds of things whose changes are actions of their own.
var verbs = map[string]struct{ consumer, credential, entity audit.Action }{
	http.MethodPost:   {audit.ConsumerAdd, audit.CredentialAdd, audit.EntityAdd},
	http.MethodPut:    {audit.ConsumerEdit, audit.CredentialEdit, audit.EntityEdit},
	http.MethodPatch:  {audit.ConsumerEdit, audit.CredentialEdit, audit.EntityEdit},
	http.MethodDelete: {audit.ConsumerRemove, audit.CredentialRemove, audit.EntityRemove},
}

// record writes down what a request has changed; body is what it is answered. Nothing of
// what was sent is written but names in the path.
func (h *Handler) record(r *http.Request, t target, body any) error {
	verb, writes := verbs[r.Method]
	if h.c.Audit == nil || !writes {
		return nil
	}
	made, _ := body.(Document)
	e := audit.Entry{
		Actor: audit.Actor{Kind: audit.Admin, Name: "kong"}, Action: verb.entity, Object: cmp.Or(text(made, "id"), t.name),
		Details: map[audit.Detail]string{audit.Kind: t.kind.one, audit.Of: t.in.id},
	}
	switch t.kind {
	case consumers:
		e.Action = verb.consumer
	case credentials:
		e.Action = verb.credential
	case groups: // which are the consumer's
		e.Action, e.Object = audit.ConsumerEdit, cmp.Or(t.in.id, e.Object)
	}
	return h.c.Audit.Record(r.Context(), e, h.c.ClientAddr(r))
}
