package kore

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/revocation"
)

// What grants and tickets are sealed for.
const (
	grantPurpose  = "kore:grant:v1"
	ticketPurpose = "kore:ticket:v1"
)

// grant is what an assertion was exchanged for, and sealed the bearer token: any node
// reads it, and none keeps it. A page's tab shows the same one for as long as it lives,
// so its ID names the tab.
type grant struct {
	ID        string `json:"id"`
	App       app.ID `json:"app"`
	Subject   string `json:"sub"`
	Anonymous bool   `json:"anon,omitempty"`
	Bot       bot.ID `json:"bot"`
	BotID     string `json:"bot_id"` // as the page calls it
	BotName   string `json:"bot_name,omitempty"`
	V3        bool   `json:"v3,omitempty"` // the SDK is 11.x
	Issued    int64  `json:"iat"`          // in milliseconds, as Expires
	Expires   int64  `json:"exp"`
	Assertion shown  `json:"jwt"`
}

// shown is what revocations need to know of the assertion.
type shown struct {
	ID     string `json:"jti,omitempty"`
	KeyID  string `json:"kid,omitempty"`
	Issued int64  `json:"iat,omitempty"` // in milliseconds
}

func (h *Handler) newGrant(v visitor, b botInfo, id bot.ID, now time.Time) grant {
	g := grant{
		ID: strings.ToLower(rand.Text()), App: v.app.ID, Subject: v.user.Subject, Anonymous: v.anonymous,
		Bot: id, BotID: b.ID, BotName: b.Name, V3: b.UIVersion == "v3",
		Issued: now.UnixMilli(), Expires: now.Add(h.c.TokenTTL).UnixMilli(),
		Assertion: shown{ID: v.token.ID, KeyID: v.token.KeyID},
	}
	if !v.token.IssuedAt.IsZero() {
		g.Assertion.Issued = v.token.IssuedAt.UnixMilli()
	}
	return g
}

func (g grant) user() chat.User { return chat.User{Issuer: string(g.App), Subject: g.Subject} }

func (g grant) issued() time.Time { return time.UnixMilli(g.Issued) }

func (g grant) expires() time.Time { return time.UnixMilli(g.Expires) }

// token is the assertion as revocations name it.
func (g grant) token() revocation.Token {
	t := revocation.Token{
		ID: g.Assertion.ID, Issuer: string(g.App), Subject: g.Subject, App: string(g.App), KeyID: g.Assertion.KeyID,
	}
	if g.Assertion.Issued != 0 {
		t.IssuedAt = time.UnixMilli(g.Assertion.Issued)
	}
	return t
}

// bearer is the grant that r shows. One that has expired is [errExpired]; nothing else
// that may be wrong is a 401.
func (h *Handler) bearer(w http.ResponseWriter, r *http.Request) (grant, error) {
	sealed := httpx.Bearer(r)
	if sealed == "" {
		return grant{}, fault.New(fault.Denied, "a bearer token is required")
	}
	var g grant
	if err := h.open(grantPurpose, sealed, &g); err != nil {
		return grant{}, denied(err)
	}
	if !h.c.Clock().Before(g.expires()) {
		return grant{}, errExpired
	}
	return g, h.admits(w, r, g)
}

// admits refuses a grant whose app or user may not come any more, or not from the page
// that shows it.
func (h *Handler) admits(w http.ResponseWriter, r *http.Request, g grant) error {
	a, ok := h.c.Apps.Find(g.App)
	if !ok || a.Disabled || h.revoked(g) {
		return fault.New(fault.Denied, "the token was taken back")
	}
	return checkOrigin(w, r, a)
}

func (h *Handler) revoked(g grant) bool {
	return h.c.Revocations != nil && h.c.Revocations.Revoked(g.token())
}

// checkOrigin refuses pages that are neither this server's own nor the app's. What they
// are answered they cannot read.
func checkOrigin(w http.ResponseWriter, r *http.Request, a *app.App) error {
	given := r.Header.Values("Origin")
	if len(given) == 0 || len(given) == 1 && (httpx.SameOrigin(given[0], r) || app.ListsOrigin(a.Origins, given[0])) {
		return nil
	}
	w.Header().Del("Access-Control-Allow-Origin")
	return fault.New(fault.Denied, "the origin of this page is not allowed: the app must list it")
}

// ticketLife is how long a socket's address is good.
const ticketLife = 30 * time.Second

// ticket is what a socket's address has, sealed, as its sid. It is good for one socket.
type ticket struct {
	ID        string          `json:"id"`
	Expires   int64           `json:"exp"` // in milliseconds
	Grant     grant           `json:"grant"`
	Context   json.RawMessage `json:"context,omitempty"` // what the page said of itself
	Reconnect bool            `json:"reconnect,omitempty"`
}

// redeem opens a ticket that was not used before.
func (h *Handler) redeem(sealed string) (ticket, error) {
	var t ticket
	if err := h.open(ticketPurpose, sealed, &t); err != nil {
		return ticket{}, fault.Wrap(fault.Denied, "sid is not valid here", err)
	}
	now := h.c.Clock()
	if expires := time.UnixMilli(t.Expires); !now.Before(expires) || !h.used.use("sid "+t.ID, now, expires) {
		return ticket{}, fault.New(fault.Denied, "sid is used, or older than 30 seconds: start again")
	}
	return t, nil
}

func (h *Handler) seal(purpose string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return h.c.Box.Seal(purpose, plain)
}

func (h *Handler) open(purpose, sealed string, into any) error {
	plain, err := h.c.Box.Open(purpose, sealed)
	if err != nil {
		return err
	}
	if json.Unmarshal(plain, into) != nil {
		return errors.New("sealed value is not ours")
	}
	return nil
}
