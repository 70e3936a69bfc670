package auth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
)

// clerk is a broker that notes what it is told.
type clerk struct {
	links    []string
	browsers []string
	returns  []authprofile.Return
	deadline bool
	page     string
	err      error
}

func (c *clerk) Start(ctx context.Context, sealed, browser string) (string, error) {
	c.links, c.browsers = append(c.links, sealed), append(c.browsers, browser)
	_, c.deadline = ctx.Deadline()
	return "https://login.example/authorize?state=s&a=<b>", c.err
}

func (c *clerk) Finish(ctx context.Context, r authprofile.Return) (to, page string, err error) {
	c.returns = append(c.returns, r)
	_, c.deadline = ctx.Deadline()
	return "https://bank.example/chat?userToken=HINT", c.page, c.err
}

// open serves a clerk, who takes n requests of an address.
func open(c *clerk, n int, log *bytes.Buffer) http.Handler {
	mux := http.NewServeMux()
	New(Config{
		Broker: c, PerAddr: limit.New(limit.Rate{N: n, Per: time.Hour}, 16),
		ClientAddr: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
	}).Mount(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(httpx.WithLog(r.Context(), slog.New(slog.NewTextHandler(log, nil)))))
	})
}

func get(h http.Handler, path string, cookies ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, c := range cookies {
		r.Header.Add("Cookie", c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func wantHeaders(t *testing.T, resp *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	c := &clerk{}
	h := open(c, 100, new(bytes.Buffer))
	resp := get(h, "/auth/v1/start?for=LINK")
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "https://login.example/authorize?state=s&a=<b>" || !c.deadline {
		t.Errorf("start: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	wantHeaders(t, resp)
	given := resp.Cookies()
	if len(given) != 1 {
		t.Fatalf("cookies %v", given)
	}
	k := given[0]
	if k.Name != "__Host-carnet-signin" || !k.Secure || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" || k.MaxAge != 600 {
		t.Errorf("cookie %v", k)
	}
	shown := k.Name + "=" + k.Value
	get(h, "/auth/v1/start?for=OTHER", shown) // another tab: the first one stays good
	if diff := cmp.Diff([]string{k.Value, k.Value}, c.browsers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"LINK", "OTHER"}, c.links); diff != "" {
		t.Error(diff)
	}

	resp = get(h, "/auth/v1/callback/bank?state=S&code=C&iss=https%3A%2F%2Flogin.example&session_state=x", shown)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "https://bank.example/chat?userToken=HINT" {
		t.Errorf("callback: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	wantHeaders(t, resp)
	get(h, "/auth/v1/callback/bank?state=S&error=access_denied&error_description=x", shown)
	want := []authprofile.Return{
		{Profile: "bank", State: "S", Code: "C", Issuer: "https://login.example", Browser: k.Value},
		{Profile: "bank", State: "S", Error: "access_denied", Browser: k.Value},
	}
	if diff := cmp.Diff(want, c.returns); diff != "" {
		t.Error(diff)
	}
}

func TestBrowsers(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]string{
		"none": "", "empty": "__Host-carnet-signin=", "of another name": "carnet-signin=" + strings.Repeat("A", 26),
		"short": "__Host-carnet-signin=AAAA", "not ours": "__Host-carnet-signin=" + strings.Repeat("a", 26),
		"long": "__Host-carnet-signin=" + strings.Repeat("A", 27),
	} {
		c := &clerk{}
		h := open(c, 100, new(bytes.Buffer))
		get(h, "/auth/v1/callback/bank?state=S&code=C", shown)
		get(h, "/auth/v1/start?for=LINK", shown)
		if c.returns[0].Browser != "" {
			t.Errorf("%s: the browser is %q", name, c.returns[0].Browser)
		}
		if b := c.browsers[0]; len(b) != 26 || strings.Contains(shown, b) {
			t.Errorf("%s: the browser becomes %q", name, b)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const link, back = "/auth/v1/start?for=LINK", "/auth/v1/callback/bank?state=STATE&code=CODE"
	for name, tc := range map[string]struct {
		path   string
		err    error
		page   string
		status int
		text   string
	}{
		"a link that is none":  {link, authprofile.ErrLink, "", 400, "This link is not valid any more"},
		"another browser":      {back, authprofile.ErrReturn, "", 400, "not begun in this browser"},
		"not completed":        {back, authprofile.ErrDenied, "https://bank.example/?a=1&b=2", 403, `<a href="https://bank.example/?a=1&amp;b=2">Back</a>`},
		"the provider is down": {back, fault.Wrap(fault.Unavailable, "try again", errors.New("the CAUSE")), "https://bank.example/", 503, "Try again"},
		"a fault of ours":      {back, errors.New("the CAUSE"), "", 500, "Internal error"},
		"twice":                {back + "&code=x", nil, "", 400, "twice"},
		"no query":             {back + "&x=%zz", nil, "", 400, "not complete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			c := &clerk{err: tc.err, page: tc.page}
			resp := get(open(c, 100, &log), tc.path)
			var body bytes.Buffer
			_, _ = body.ReadFrom(resp.Body)
			if resp.StatusCode != tc.status || !strings.Contains(body.String(), tc.text) {
				t.Errorf("%d %s", resp.StatusCode, &body)
			}
			wantHeaders(t, resp)
			policy := resp.Header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("policy %q", policy)
			}
			if len(resp.Cookies()) != 0 || resp.Header.Get("Location") != "" {
				t.Errorf("a refusal has %v and leads to %q", resp.Cookies(), resp.Header.Get("Location"))
			}
			for _, private := range []string{"LINK", "STATE", "CODE", "CAUSE", "<script", "style"} {
				if strings.Contains(body.String(), private) {
					t.Errorf("the page has %s", private)
				}
				if private != "CAUSE" && strings.Contains(log.String(), private) {
					t.Errorf("the log has %s: %s", private, &log)
				}
			}
			if !strings.Contains(log.String(), "sign-in refused") {
				t.Errorf("log: %s", &log)
			}
		})
	}
}

func TestHeadBeginsNothing(t *testing.T) {
	t.Parallel()
	c := &clerk{}
	h := open(c, 100, new(bytes.Buffer))
	for _, path := range []string{"/auth/v1/start?for=LINK", "/auth/v1/callback/bank?state=S&code=C"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, path, nil))
		if w.Code != http.StatusNoContent {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if len(c.links)+len(c.returns) != 0 {
		t.Error("HEAD has begun something")
	}
}

func TestLimited(t *testing.T) {
	t.Parallel()
	c := &clerk{}
	h := open(c, 2, new(bytes.Buffer))
	get(h, "/auth/v1/start?for=LINK")
	get(h, "/auth/v1/callback/bank?state=S&code=C")
	resp := get(h, "/auth/v1/start?for=LINK")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || len(c.links) != 1 {
		t.Errorf("%d after %d links", resp.StatusCode, len(c.links))
	}
}
