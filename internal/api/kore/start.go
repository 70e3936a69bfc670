package kore

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/wire"
)

// maxTicketContext is how many bytes of context an address of a socket carries. What is
// longer comes with the first message, as each has it again.
const maxTicketContext = 2 << 10

// start answers the address of a socket, which is good for one within 30 seconds. It has
// a query, since the SDK adds to it.
func (h *Handler) start(w http.ResponseWriter, r *http.Request) error {
	g, err := h.bearer(w, r)
	if err != nil {
		return err
	}
	var req struct {
		BotInfo botInfo `json:"botInfo"`
	}
	if err := httpx.ReadJSON(w, r, maxBody, &req); err != nil {
		return err
	}
	now := h.c.Clock()
	t := ticket{
		ID: strings.ToLower(rand.Text()), Expires: now.Add(ticketLife).UnixMilli(), Grant: g,
		Reconnect: r.URL.Query().Get("isReconnect") == "true", // the SDKs for phones say so here
	}
	if context := newContext(req.BotInfo, nil); len(context) <= maxTicketContext {
		t.Context = context
	}
	sid, err := h.seal(ticketPurpose, t)
	if err != nil {
		return err
	}
	scheme := "ws"
	if h.c.Secure(r) {
		scheme = "wss"
	}
	address := url.URL{Scheme: scheme, Host: r.Host, Path: h.c.Prefix + "rtm/bot", RawQuery: url.Values{
		"sid": {sid}, "botId": {g.BotID}, "userId": {userID(g.user())},
	}.Encode()}
	httpx.WriteJSON(w, http.StatusOK, struct {
		URL string `json:"url"`
	}{address.String()})
	return nil
}

// newContext is what a page says of itself, as members of the conversation's context;
// nil if it says nothing.
func newContext(b botInfo, meta json.RawMessage) json.RawMessage {
	members := map[string]json.RawMessage{}
	for name, value := range map[string]json.RawMessage{"customData": b.CustomData, "metaTags": b.MetaTags, "meta": meta} {
		if text := strings.TrimSpace(string(value)); text != "" && text != "null" && text != "{}" {
			members[name] = value
		}
	}
	if len(members) == 0 {
		return nil
	}
	context, err := wire.JSON(members)
	if err != nil {
		return nil // it was read from JSON
	}
	return context
}

// theme answers what each SDK takes for no theme: 10.x draws a bare window if it is told
// that one is active, and 11.x none at all unless it is.
func (h *Handler) theme(w http.ResponseWriter, r *http.Request) error {
	g, err := h.bearer(w, r)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, struct {
		Active bool `json:"activeTheme,omitempty"`
	}{g.V3})
	return nil
}
