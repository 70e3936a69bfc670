package oauth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/signin"
)

// Paths of pages and of their forms.
const (
	authorizePath = "/oauth2/authorize"
	signInPath    = "/oauth2/sign-in"
	consentPath   = "/oauth2/consent"
	logoutPath    = "/oauth2/logout"
	userInfoPath  = "/oauth2/userinfo"
	accountPath   = "/account"
)

// mountPages serves what people see.
func (h *Handler) mountPages(mux *http.ServeMux) {
	for path, serve := range map[string]struct{ get, post httpx.Handler }{
		authorizePath:             {h.authorize, inAddress(authorizePath)},
		signInPath:                {nil, h.enter},
		consentPath:               {nil, h.decide},
		logoutPath:                {h.logout, inAddress(logoutPath)},
		accountPath:               {h.account, nil},
		accountPath + "/sign-out": {nil, h.leave},
		accountPath + "/password": {nil, h.changePassword},
	} {
		allow := "OPTIONS"
		if serve.post != nil {
			mux.Handle("POST "+path, h.forPeople(serve.post))
			allow = "POST, " + allow
		}
		if serve.get != nil {
			mux.Handle("GET "+path, h.forPeople(serve.get))
			allow = "GET, HEAD, " + allow
		}
		mux.Handle(path, httpx.Other(allow))
	}
	info := httpx.CORS{Public: true, Methods: []string{http.MethodGet, http.MethodPost}, Headers: []string{"Authorization"}}
	mux.Handle("GET "+userInfoPath, info.Wrap(h.userInfoHandler()))
	mux.Handle("POST "+userInfoPath, info.Wrap(h.userInfoHandler()))
	mux.Handle(userInfoPath, info.Wrap(httpx.Other("GET, HEAD, POST, OPTIONS")))
}

// see sends the browser to an address, by GET whatever it did before (RFC 9700 §4.12).
func see(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// inAddress makes of a request in a form one in the address (OpenID Connect Core §3.1.2.1
// allows both): only with that does a browser send its cookie from another site.
func inAddress(path string) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if httpx.MediaType(r) != formType {
			return fault.New(fault.Invalid, "the content type must be "+formType)
		}
		body, err := httpx.ReadBody(w, r, maxAsked)
		if err != nil {
			return err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fault.New(fault.Invalid, "the app's request is malformed")
		}
		see(w, path+"?"+form.Encode())
		return nil
	}
}

// authorize lets an app know who is at the browser (RFC 6749 §4.1): after they have
// signed in, and said that it may.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) error {
	q, err := h.readAsked(r.URL.RawQuery)
	if err != nil {
		return h.back(w, r, q, err)
	}
	b, err := h.browser(w, r)
	if err != nil {
		return err
	}
	if q.mustSignIn(b, h.c.Clock()) {
		if q.none {
			return h.back(w, r, q, &denied{"login_required", "nobody is signed in, or not lately enough"})
		}
		return h.render(w, http.StatusOK, "sign-in", h.signInPage(r, b, q))
	}
	scope, err := q.scope(b)
	if err != nil {
		return h.back(w, r, q, err)
	}
	agreed, err := h.agreed(r, b, q, scope)
	if err != nil {
		return err
	}
	if !agreed {
		if q.none {
			return h.back(w, r, q, &denied{"consent_required", "the user has not consented"})
		}
		return h.render(w, http.StatusOK, "consent", h.consentPage(r, b, q, scope))
	}
	return h.admit(w, r, b, q, scope)
}

// agreed tells whether the person need not be asked.
func (h *Handler) agreed(r *http.Request, b *browser, q *asked, scope string) (bool, error) {
	switch {
	case q.consent || !q.remembers():
		return false, nil
	case q.app.FirstParty:
		return true, nil
	}
	return h.c.SignIns.Consented(r.Context(), b.session.Subject, q.app.ID, scope)
}

// admit sends the browser back with a code.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, b *browser, q *asked, scope string) error {
	code, err := h.c.SignIns.Authorize(r.Context(), b.session, signin.Request{
		App: q.app.ID, RedirectURI: q.query.Get("redirect_uri"), Scope: scope, Nonce: q.nonce, Challenge: q.challenge,
	})
	if err != nil {
		return h.back(w, r, q, err)
	}
	see(w, q.answer(h.c.Issuer, "code", string(code.Reveal())))
	return nil
}

// back sends the browser back with an error, if there is where to; else the error is for
// the person.
func (h *Handler) back(w http.ResponseWriter, r *http.Request, q *asked, err error) error {
	if q == nil {
		return err
	}
	d, ok := errors.AsType[*denied](err)
	level := slog.LevelInfo
	if !ok {
		f := common(err)
		if d = (&denied{f.Code, f.Description}); f.Code == "server_error" {
			level = slog.LevelError
		}
	}
	httpx.LogFrom(r.Context()).LogAttrs(r.Context(), level, "authorization refused",
		slog.String("app", string(q.app.ID)), slog.String("code", d.code), slog.Any("err", err))
	see(w, q.answer(h.c.Issuer, "error", d.code, "error_description", d.text))
	return nil
}

// consentPage asks whether the app may have a scope.
func (h *Handler) consentPage(r *http.Request, b *browser, q *asked, scope string) page {
	speech := spoken(r, q.locales())
	p := page{
		W: speech, Heading: fmt.Sprintf(speech.Consents, q.app.Name), Name: b.session.Name, Path: consentPath,
		CSRF: b.csrf(), Request: q.query.Encode(), Back: origin(q.back),
	}
	again := url.Values{}
	for name, values := range q.query {
		again[name] = values
	}
	again.Set("prompt", "login")
	p.Switch = authorizePath + "?" + again.Encode()
	for _, s := range strings.Fields(scope) {
		if text, ok := speech.Rights[s]; ok {
			p.Rights = append(p.Rights, right{Text: text})
		} else {
			p.Rights = append(p.Rights, right{Text: speech.Other, Scope: s})
		}
	}
	return p
}

// origin is where an address is, for people.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return strings.SplitN(address, ":", 2)[0] + ":"
	}
	return u.Scheme + "://" + u.Host
}

// decide takes what the person says to the consent page.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request) error {
	b, p, err := h.posted(w, r)
	if err != nil {
		return err
	}
	q, err := h.readAsked(p["request"])
	if err != nil {
		return h.back(w, r, q, err)
	}
	scope, err := q.scope(b)
	if err != nil {
		return h.back(w, r, q, err)
	}
	switch p["answer"] {
	case "allow":
		if err := h.c.SignIns.Agree(r.Context(), b.session.Subject, q.app.ID, scope); err != nil {
			return err
		}
		return h.admit(w, r, b, q, scope)
	case "deny":
		return h.back(w, r, q, &denied{"access_denied", "the user does not allow it"})
	}
	return fault.BadField("answer", "must be allow or deny")
}

// posted reads a form that somebody sends who is signed in.
func (h *Handler) posted(w http.ResponseWriter, r *http.Request) (*browser, params, error) {
	p, err := readForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	b, err := h.browser(w, r)
	if err != nil {
		return nil, nil, err
	}
	if !b.signedIn() || !b.posted(p) {
		return nil, nil, errStale
	}
	return b, p, nil
}
