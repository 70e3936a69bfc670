package chat

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// page is an answer of history.
type page struct {
	Messages []messageFrame `json:"messages"` // oldest first
	More     bool           `json:"more"`     // there are older ones
}

// history answers a page of a conversation to the user whose it is.
func (h *Handler) history(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	origin := r.Header.Get("Origin")
	h.cors(http.MethodGet).Mark(w.Header(), origin)
	before, err := number(r.URL.Query(), "before", 0, 0, maxCount)
	if err != nil {
		return err
	}
	limit, err := number(r.URL.Query(), "limit", chat.DefaultPage, 1, chat.MaxPage)
	if err != nil {
		return err
	}
	token, err := bearer(r)
	if err != nil {
		return err
	}
	id, err := h.c.Verify(r.Context(), token)
	if err != nil {
		return err
	}
	if !sameOrigin(origin, r) && !app.ListsOrigin(id.Origins, origin) {
		w.Header().Del("Access-Control-Allow-Origin") // another app's page
	}
	messages, more, err := h.c.Engine.History(r.Context(), id.User, chat.ID(r.PathValue("id")), before, int(limit))
	if err != nil {
		return err
	}
	p := page{Messages: make([]messageFrame, len(messages)), More: more}
	for i, m := range messages {
		p.Messages[i] = toMessage(m)
	}
	httpx.WriteJSON(w, http.StatusOK, p)
	return nil
}

// number reads a parameter in digits; missing if it is not there.
func number(q url.Values, name string, missing, least, most int64) (int64, error) {
	given, ok := q[name]
	if !ok {
		return missing, nil
	}
	n, err := strconv.ParseUint(given[0], 10, 53)
	if err != nil || len(given) > 1 || int64(n) < least || int64(n) > most {
		return 0, fault.BadField(name, fmt.Sprintf("must be a whole number from %d to %d, given once", least, most))
	}
	return int64(n), nil
}

// bearer is the token of a request.
func bearer(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimLeft(token, " "); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", fault.New(fault.Unauthenticated, "a bearer token is required")
	}
	return token, nil
}

// notHistory answers what is neither GET nor a preflight.
func notHistory(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	if r.Method != http.MethodOptions {
		return fault.New(fault.MethodNotAllowed, "the method must be GET")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
