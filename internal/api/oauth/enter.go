package oauth

import (
	"cmp"
	"net/http"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/user"
)

// signInPage asks who it is. q is what they were doing; nil: they want to see their
// account.
func (h *Handler) signInPage(r *http.Request, b *browser, q *asked) page {
	speech := spoken(r, q.locales())
	p := page{W: speech, Heading: speech.SignIn, Path: signInPath, CSRF: b.csrf(), Name: b.session.Name}
	if q != nil {
		p.App, p.Request, p.Name = q.app.Name, q.query.Encode(), cmp.Or(q.hint, p.Name)
	}
	return p
}

// enter signs somebody in, with the limits that /login has.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request) error {
	_, cookieErr := r.Cookie(h.cookie())
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	var q *asked
	if form["request"] != "" {
		if q, err = h.readAsked(form["request"]); err != nil {
			return h.back(w, r, q, err)
		}
	}
	if cookieErr != nil {
		return errCookies
	}
	b, err := h.browser(w, r)
	if err != nil {
		return err
	}
	err = h.enterAs(w, r, b, form)
	h.c.Observe(Password, err)
	if fault.KindOf(err) != fault.Invalid { // nobody tried a password
		h.noteSignIn(form["username"], "", h.c.ClientAddr(r), err)
	}
	if err != nil {
		return h.tryAgain(w, r, b, q, form["username"], err)
	}
	if q == nil {
		see(w, accountPath)
	} else {
		see(w, authorizePath+"?"+q.again())
	}
	return nil
}

// errAgain is for a form of another page than the browser's last.
var errAgain = fault.BadField("csrf", "is not that of this browser")

func (h *Handler) enterAs(w http.ResponseWriter, r *http.Request, b *browser, form params) error {
	name := form["username"]
	switch {
	case !b.posted(form):
		return errAgain
	case name == "" || form["password"] == "":
		return fault.BadField("username", "and password must not be empty")
	}
	if err := h.countPageTry(r, name); err != nil {
		return err
	}
	u, err := h.c.Users.Authenticate(r.Context(), name, secret.FromString(form["password"]), h.c.ClientAddr(r))
	if err != nil {
		return err
	}
	u.Name = cmp.Or(u.Name, name)
	if err := h.begin(w, r, b, u); err != nil {
		return err
	}
	h.setCookie(w, h.knownCookie(), h.c.SignIns.Mark(name), knownLife)
	return nil
}

// begin has somebody signed in in this browser from now on, which gets another cookie.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, b *browser, u user.User) error {
	_, cookie, err := h.c.SignIns.Begin(r.Context(), u, h.placeOf(r), b.session)
	if err != nil {
		return err
	}
	h.setCookie(w, h.cookie(), string(cookie.Reveal()), h.c.SignIns.Life())
	return nil
}

// countPageTry limits the tries to be one user in a page. In a browser where that user has
// signed in before, nobody else's tries count: who guesses, from however many places, does
// not keep the user out.
func (h *Handler) countPageTry(r *http.Request, name string) error {
	now, addr := h.c.Clock(), h.c.ClientAddr(r)
	if c, err := r.Cookie(h.knownCookie()); err == nil {
		if browser, ok := h.c.SignIns.Knows(c.Value, name); ok {
			if ok, after := h.c.LoginPerUser.Allow("known "+browser, now); !ok {
				return limited(after)
			}
			return nil
		}
	}
	if ok, after := h.c.LoginPerAddr.AllowAddr(addr, now); !ok {
		return limited(after)
	}
	return h.countTry(name, addr, now)
}

// tryAgain shows the page once more, with what was wrong. What it says of a name is the
// same for one that nobody has.
func (h *Handler) tryAgain(w http.ResponseWriter, r *http.Request, b *browser, q *asked, name string, err error) error {
	p := h.signInPage(r, b, q)
	p.Name = name
	public := fault.Public(err)
	switch public.Kind {
	case fault.Unauthenticated:
		p.Problem, p.Field = p.W.Wrong, "username"
	case fault.Limited:
		p.Problem = p.W.TooMany
	case fault.Unavailable:
		p.Problem = p.W.Busy
	case fault.Invalid:
		p.Problem, p.Field = p.W.Empty, "username"
		if err == errAgain { //nolint:errorlint // it is this very one
			p.Problem, p.Field = p.W.Again, ""
		}
	default:
		return err
	}
	logRefusal(r, public.Kind, err)
	status := public.Kind.Status()
	if status == http.StatusUnauthorized { // which would want a challenge that browsers answer by themselves
		status = http.StatusBadRequest
	}
	retryAfter(w, public)
	return h.render(w, status, "sign-in", p)
}
