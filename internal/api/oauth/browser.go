package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
)

// browser is one that has been here: before somebody signs in it has a cookie, too, which
// forms are bound to.
type browser struct {
	cookie  string
	session signin.Session // zero: nobody is signed in
}

// signedIn tells whether somebody is.
func (b *browser) signedIn() bool { return b.session.ID != "" }

// csrf is the value that forms of this browser carry, which no other site can know.
func (b *browser) csrf() string {
	sum := sha256.Sum256([]byte("form " + b.cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

var (
	errCookies = fault.New(fault.Denied, "the browser has not sent its cookie")
	errStale   = fault.New(fault.Denied, "nobody is signed in any more")
)

// posted tells whether a form was sent from a page of ours in this browser.
func (b *browser) posted(p params) bool {
	return subtle.ConstantTimeCompare([]byte(b.csrf()), []byte(p["csrf"])) == 1
}

// browser finds out who is signed in. A browser that was never here gets a cookie.
func (h *Handler) browser(w http.ResponseWriter, r *http.Request) (*browser, error) {
	c, err := r.Cookie(h.cookie())
	if err != nil || !random(c.Value) {
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh) // never fails (crypto/rand)
		b := &browser{cookie: base64.RawURLEncoding.EncodeToString(fresh)}
		h.setCookie(w, h.cookie(), b.cookie, 0)
		return b, nil
	}
	b := &browser{cookie: c.Value}
	s, err := h.c.SignIns.Find(r.Context(), secret.FromString(c.Value))
	if fault.KindOf(err) == fault.Unauthenticated {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	active, err := h.c.Users.Active(r.Context(), s.Subject)
	if err != nil {
		return nil, err
	}
	if active {
		b.session = s
	}
	return b, nil
}

// random tells whether a text is of 32 bytes, as all cookies of ours are.
func random(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32 && len(s) == 43
}

// cookie is its name. The prefix keeps other hosts from setting it, and plain HTTP
// (RFC 6265bis §4.1.3.2). Where the issuer itself is plain HTTP, which is for this machine
// alone, not all browsers would keep such a cookie.
func (h *Handler) cookie() string { return h.prefix() + "carnet" }

// knownCookie is the name of the one that holds the mark of the last person to sign in.
func (h *Handler) knownCookie() string { return h.prefix() + "carnet-known" }

// knownLife is how long a browser is known again.
const knownLife = 365 * 24 * time.Hour

func (h *Handler) prefix() string {
	if h.secure() {
		return "__Host-"
	}
	return ""
}

func (h *Handler) secure() bool { return strings.HasPrefix(h.c.Issuer, "https:") }

// setCookie keeps a value for as long as it is good; 0: until the browser is closed.
func (h *Handler) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: h.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// placeOf is where a browser is, as its owner would say it.
func (h *Handler) placeOf(r *http.Request) signin.Place {
	return signin.Place{Agent: agent(r.UserAgent()), Network: network(h.c.ClientAddr(r))}
}

// network is the neighbourhood of an address.
func network(a netip.Addr) string {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil || !p.IsValid() || a.IsLoopback() {
		return ""
	}
	return p.String()
}

// agent is which browser, and which system, a User-Agent is of; empty if it is none that
// people know. What comes first counts: most claim to be others, too.
func agent(text string) string {
	name := first(text, [][2]string{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	})
	system := first(text, [][2]string{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Macintosh", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	switch {
	case name == "":
		return system
	case system == "":
		return name
	}
	return name + ", " + system
}

func first(text string, marks [][2]string) string {
	for _, m := range marks {
		if strings.Contains(text, m[0]) {
			return m[1]
		}
	}
	return ""
}
