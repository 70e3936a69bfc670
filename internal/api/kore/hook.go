package kore

import (
	"net/http"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// The webhook mode is for pages whose network lets no WebSocket through. It has no grant
// and no socket: each request shows the assertion, and is answered with what the bot says
// meanwhile. The SDK sends one request at a time, and after an answer with a pollId asks
// a second later for more.

const (
	maxWaiting = 10_000 // requests of this node that wait for a bot
	// pollWait is how long such a question waits. What the user sends next waits behind it.
	pollWait = time.Second
)

// hookPath is where pages talk in webhook mode: beside the api/ that the prefix ends in,
// where the SDK looks for it; "" if the prefix ends in something else.
func hookPath(prefix string) string {
	root, ok := strings.CutSuffix(prefix, "/api/")
	if !ok {
		return ""
	}
	return root + "/chatbot/"
}

// signed is what an assertion that serves as a bearer token stands for, with the bot that
// the path names.
func (h *Handler) signed(w http.ResponseWriter, r *http.Request) (visitor, grant, error) {
	called := r.PathValue("bot")
	id, known := h.c.Bot(called, "")
	if !known {
		return visitor{}, grant{}, fault.New(fault.NotFound, "the path must have the _id of a bot that is configured here")
	}
	now := h.c.Clock()
	v, err := h.read(r.Context(), httpx.Bearer(r), now)
	switch {
	case err != nil:
		return visitor{}, grant{}, denied(err)
	case v.past(now):
		return visitor{}, grant{}, errExpired
	}
	if err := v.check(now); err != nil {
		return visitor{}, grant{}, denied(err)
	}
	if v.token.ID != "" && h.used.has(v.once(), now) {
		return visitor{}, grant{}, fault.Wrap(fault.Denied, "the token was exchanged for another", errReplay)
	}
	g := h.newGrant(v, botInfo{ID: called}, id, now)
	return v, g, checkOrigin(w, r, v.app)
}

// hookHistory is the history for the webhook mode. The user is given what is in it.
func (h *Handler) hookHistory(w http.ResponseWriter, r *http.Request) error {
	v, g, err := h.signed(w, r)
	if err != nil {
		return err
	}
	if err := h.merge(r.Context(), v, h.c.Clock()); err != nil {
		return err
	}
	p, err := h.pageOf(r, g)
	if err != nil {
		return err
	}
	if p.upTo > 0 {
		if err := h.c.Engine.MarkRead(r.Context(), g.user(), p.conversation, p.upTo); err != nil {
			return err
		}
	}
	httpx.WriteJSON(w, http.StatusOK, p)
	return nil
}

// hookMeta is what the SDK wants to know of a bot.
func (h *Handler) hookMeta(w http.ResponseWriter, r *http.Request) error {
	if _, _, err := h.signed(w, r); err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, struct {
		Icon string `json:"icon"`
	}{icon})
	return nil
}

// hook takes what a page says.
func (h *Handler) hook(w http.ResponseWriter, r *http.Request) error {
	v, g, err := h.signed(w, r)
	if err != nil {
		return err
	}
	var q hookRequest
	if err := httpx.ReadJSON(w, r, maxBody, &q); err != nil {
		return err
	}
	answer := newHookAnswer(nil)
	switch {
	case q.Message.Type != "event":
		answer, err = h.hookSend(r, g, q)
	case q.Message.Value == onConnect:
		if err = h.merge(r.Context(), v, h.c.Clock()); err == nil {
			answer, err = h.hookConnect(r, g)
		}
	case q.Message.Value == closure:
		answer.EndOfTask = true
		err = h.hookClose(r.Context(), g)
	}
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// poll answers what the bot has said since.
func (h *Handler) poll(w http.ResponseWriter, r *http.Request) error {
	_, g, err := h.signed(w, r)
	if err != nil {
		return err
	}
	p, err := parsePoll(r.PathValue("poll"))
	if err != nil {
		return err
	}
	answer, err := h.listen(r, g, chat.Hello{Conversation: p.conversation, After: p.after}, func(s *chat.Session, e *ear) (hookAnswer, error) {
		e.wait(r.Context(), pollWait, func() bool { return e.over || len(e.said) > 0 })
		return h.tell(r.Context(), s, e, p.until)
	})
	if k := fault.KindOf(err); (k == fault.Limited || k == fault.Unavailable) && h.c.Clock().Before(p.until) {
		answer, err = newHookAnswer(nil), nil // the SDK asks no more after an error
		answer.PollID = p.String()
	}
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, answer)
	return nil
}
