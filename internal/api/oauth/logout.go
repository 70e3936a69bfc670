package oauth

import (
	"cmp"
	"net/http"
	"net/url"

	"github.com/carnetproject/carnet/internal/app"
)

// logout is where apps send people who want to sign out here, too (OpenID Connect
// RP-Initiated Logout 1.0). Everyone is asked whether they do, so that who sends them
// here need not prove anything.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	b, err := h.browser(w, r)
	if err != nil {
		return err
	}
	if !b.signedIn() {
		return h.gone(w, r, r.URL.RawQuery)
	}
	speech := spoken(r, r.URL.Query().Get("ui_locales"))
	return h.render(w, http.StatusOK, "message", page{
		W: speech, Heading: speech.SignOutAsk, Text: speech.SignedInAs + " " + b.session.Name + ".", Ask: speech.SignOut,
		Path: accountPath + "/sign-out", CSRF: b.csrf(), ID: b.session.ID, Request: r.URL.RawQuery,
	})
}

// gone is for those who have signed out. If an app has sent them, and says an address of
// its own, they go back there.
func (h *Handler) gone(w http.ResponseWriter, r *http.Request, request string) error {
	q, err := url.ParseQuery(request)
	if err != nil {
		q = nil
	}
	back, client := q.Get("post_logout_redirect_uri"), app.ID(q.Get("client_id"))
	_, audience, ours := hinted(h.c.Issuer, q.Get("id_token_hint"))
	a, ok := h.c.Apps.Find(cmp.Or(client, audience))
	if !ok || q.Has("id_token_hint") && !(ours && audience == a.ID) || a.Disabled || !a.Redirects(back) {
		speech := spoken(r, q.Get("ui_locales"))
		return h.render(w, http.StatusOK, "message", page{W: speech, Heading: speech.SignedOut, Link: accountPath, LinkText: speech.SignIn})
	}
	if state := q.Get("state"); state != "" {
		back = withQuery(back, url.Values{"state": {state}})
	}
	see(w, back)
	return nil
}
