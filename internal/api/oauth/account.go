package oauth

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/user"
)

// passwords is what the account page asks of the users.
type passwords interface {
	// KeepsPassword tells whether a subject's password is kept here, where it can change.
	KeepsPassword(subject string) bool
	// ChangePassword wants the old one; fault.Unauthenticated.
	ChangePassword(ctx context.Context, id user.ID, old, fresh secret.Bytes) error
}

// place is where somebody is signed in, or an app that may be, for them to see.
type place struct {
	ID, Where, Network string
	Here               bool // it is this browser
	Since              time.Time
}

// account shows people where they are signed in, and lets them change their password.
func (h *Handler) account(w http.ResponseWriter, r *http.Request) error {
	b, err := h.browser(w, r)
	if err != nil {
		return err
	}
	if !b.signedIn() {
		return h.render(w, http.StatusOK, "sign-in", h.signInPage(r, b, nil))
	}
	p, err := h.accountPage(r, b)
	if err != nil {
		return err
	}
	switch r.URL.Query().Get("done") {
	case "password":
		p.Done = p.W.Changed
	case "sign-out":
		p.Done = p.W.Ended
	}
	return h.render(w, http.StatusOK, "account", p)
}

func (h *Handler) accountPage(r *http.Request, b *browser) (page, error) {
	list, err := h.c.SignIns.List(r.Context(), b.session.Subject)
	if err != nil {
		return page{}, err
	}
	speech := spoken(r, "")
	p := page{
		W: speech, Heading: speech.Account, Name: b.session.Name, CSRF: b.csrf(),
		Password: h.c.Users.KeepsPassword(b.session.Subject),
	}
	for _, s := range list[:min(len(list), maxPlaces)] {
		at := place{ID: s.ID, Network: s.Place.Network, Here: s.ID == b.session.ID, Since: s.Created.UTC()}
		if s.Session {
			at.Where = cmp.Or(s.Place.Agent, speech.SomeBrowser)
		} else {
			at.Where = h.nameOf(s.App, speech)
		}
		p.Places = append(p.Places, at)
	}
	// Apps that got no refresh token are signed in nowhere, and may come back all the same.
	consents, err := h.c.SignIns.Consents(r.Context(), b.session.Subject)
	if err != nil {
		return page{}, err
	}
	for _, c := range consents {
		if !slices.ContainsFunc(list, func(s signin.SignIn) bool { return s.App == c.App }) {
			p.Places = append(p.Places, place{ID: string(c.App), Where: h.nameOf(c.App, speech), Since: c.Given.UTC()})
		}
	}
	return p, nil
}

// nameOf is what an app is called, if it is still there.
func (h *Handler) nameOf(id app.ID, speech *words) string {
	if a, ok := h.c.Apps.Find(id); ok {
		return a.Name
	}
	return speech.NoApp
}

// maxPlaces is how many are shown: who is signed in in more places signs out everywhere.
const maxPlaces = 100

// leave signs somebody out: of a place, everywhere, or, where an app asked for it, here.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request) error {
	b, p, err := h.posted(w, r)
	if err != nil {
		return err
	}
	ctx, subject := r.Context(), b.session.Subject
	if p["everywhere"] != "" {
		err = h.c.SignIns.EndAll(ctx, subject)
	} else {
		err = h.c.SignIns.End(ctx, subject, p["id"])
	}
	h.noteUser(r, b, audit.UserSignOut, p["id"], err)
	switch {
	case err != nil:
		return err
	case p["everywhere"] == "" && p["id"] != b.session.ID:
		see(w, accountPath+"?done=sign-out")
		return nil
	}
	h.setCookie(w, h.cookie(), "", -time.Second)
	return h.gone(w, r, p["request"])
}

// changePassword is for those who show the old one, with the limits that signing in has:
// here, too, passwords could be guessed.
func (h *Handler) changePassword(w http.ResponseWriter, r *http.Request) error {
	b, p, err := h.posted(w, r)
	if err != nil {
		return err
	}
	err = h.changeAs(r, b, p)
	if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.Denied {
		h.noteUser(r, b, audit.UserPassword, "", err)
	}
	if err == nil {
		if err := h.c.SignIns.EndOthers(r.Context(), b.session); err != nil {
			return err
		}
		s := b.session // whoever else has its cookie is out, too
		if err := h.begin(w, r, b, user.User{ID: user.ID(s.Subject), Name: s.Name, Scopes: s.Scopes}); err != nil {
			return err
		}
		see(w, accountPath+"?done=password")
		return nil
	}
	again, failed := h.accountPage(r, b)
	if failed != nil {
		return failed
	}
	public := fault.Public(err)
	status := public.Kind.Status()
	switch public.Kind {
	case fault.Unauthenticated:
		again.Problem, again.Field, status = again.W.WrongOld, "old", http.StatusBadRequest
	case fault.Invalid:
		again.Problem, again.Field = again.W.BadNew, "new"
	case fault.Limited:
		again.Problem = again.W.TooMany
	case fault.Unavailable:
		again.Problem = again.W.Busy
	default:
		return err
	}
	logRefusal(r, public.Kind, err)
	retryAfter(w, public)
	return h.render(w, status, "account", again)
}

func (h *Handler) changeAs(r *http.Request, b *browser, p params) error {
	if !h.c.Users.KeepsPassword(b.session.Subject) {
		return fault.New(fault.Denied, "your password is not kept here")
	}
	if err := h.countPageTry(r, b.session.Name); err != nil {
		return err
	}
	return h.c.Users.ChangePassword(r.Context(), user.ID(b.session.Subject), secret.FromString(p["old"]), secret.FromString(p["new"]))
}
