package chat

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

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
	addr := h.c.ClientAddr(r)
	var id Identity
	err = h.attempt(addr, func() (err error) {
		id, err = h.c.Verify(r.Context(), token)
		return err
	})
	if err != nil {
		return err
	}
	if !httpx.SameOrigin(origin, r) && !app.ListsOrigin(id.Origins, origin) {
		w.Header().Del("Access-Control-Allow-Origin") // another app's page
	}
	return h.pages.While(addr, func() error {
		p, err := h.page(r.Context(), id.User, chat.ID(r.PathValue("id")), before, int(limit))
		if err == nil {
			httpx.WriteJSON(w, http.StatusOK, p)
		}
		return err
	})
}

// The memory of history: so many pages of a node's at a time, with so many bytes of bodies
// each, but for one message that has more.
const (
	maxPages     = 1024
	maxPageBytes = 1 << 20
)

func (h *Handler) page(ctx context.Context, u chat.User, id chat.ID, before int64, limit int) (page, error) {
	messages, more, err := h.c.Engine.History(ctx, u, id, before, limit)
	if err != nil {
		return page{}, err
	}
	first, size := len(messages), 0
	for first > 0 && (size == 0 || size+len(messages[first-1].Body) <= maxPageBytes) {
		first--
		size += len(messages[first].Body)
	}
	p := page{Messages: make([]messageFrame, 0, len(messages)-first), More: more || first > 0}
	for _, m := range messages[first:] {
		p.Messages = append(p.Messages, toMessage(m))
	}
	return p, nil
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
	token := httpx.Bearer(r)
	if token == "" {
		return "", fault.New(fault.Unauthenticated, "a bearer token is required")
	}
	return token, nil
}
