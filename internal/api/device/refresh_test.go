package device

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

const refreshPath = "/v1/auth/refresh/token"

// answers is a refresher that always says the same.
type answers struct {
	got device.Refreshed
	err error
	in  []string
}

func (a *answers) Refresh(_ context.Context, token string) (device.Refreshed, error) {
	a.in = append(a.in, token)
	return a.got, a.err
}

func openRefresh(t testing.TB, a *answers) http.Handler {
	t.Helper()
	return open(t, func(c *Config) { c.Refresher = a })
}

func form(r *http.Request) {
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
}

func TestRefreshIsByteCompatible(t *testing.T) {
	t.Parallel()
	a := &answers{got: device.Refreshed{Token: "a.b.c", ExpiresIn: 12 * time.Hour, Refresh: 10 * time.Minute}}
	h := openRefresh(t, a)
	for _, p := range []string{refreshPath, "/auth/v1/refresh/token"} {
		w := call(t, h, p, strings.NewReader("refresh_token=x.y.z&client_id=android"), form)
		want := `{"id":"api.refresh.token","ver":"1.0","ts":1780315200123,"params":{"resmsgid":"UUID","status":"successful","err":null,"errmsg":null},` +
			`"result":{"access_token":"a.b.c","expires_in":43200,"refresh_expires_in":600,"refresh_token":"x.y.z"}}`
		if got := fixed(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d\n%s, want\n%s", p, w.Code, got, want)
		}
	}
	if len(a.in) != 2 || a.in[0] != "x.y.z" {
		t.Errorf("asked for %q", a.in)
	}
}

func TestRefreshFailures(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body        string
		cause       error
		status      int
		err, errmsg string
	}{
		"not good":      {"refresh_token=x", fault.Wrap(fault.Invalid, "no", errors.New("the reason")), 400, "invalid_grant", "invalid_grant"},
		"signers busy":  {"refresh_token=x", &fault.Error{Kind: fault.Unavailable, Msg: "busy", RetryAfter: time.Second}, 503, "SERVICE_UNAVAILABLE", "UNABLE TO REFRESH TOKEN RIGHT NOW"},
		"broken":        {"refresh_token=x", errors.New("the reason"), 500, "INTERNAL_SERVER_ERROR", "Oops! Something went wrong!"},
		"field missing": {"client_id=android", nil, 400, "BAD_REQUEST", ""},
		"field empty":   {"refresh_token=", nil, 400, "BAD_REQUEST", ""},
		"field twice":   {"refresh_token=x&refresh_token=y", nil, 400, "BAD_REQUEST", ""},
		"empty body":    {"", nil, 400, "BAD_REQUEST", ""},
		"no form":       {"%zz", nil, 400, "BAD_REQUEST", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &answers{err: tc.cause}
			var log bytes.Buffer
			w := call(t, openRefresh(t, a), refreshPath, strings.NewReader(tc.body), form, func(r *http.Request) {
				*r = *r.WithContext(httpx.WithLog(r.Context(), slog.New(slog.NewTextHandler(&log, nil))))
			})
			want := `{"id":"api.refresh.token","ver":"1.0","ts":1780315200123,"params":{"resmsgid":"UUID","status":"failed","err":"` + tc.err +
				`","errmsg":"` + tc.errmsg + `"},"result":{"access_token":null,"expires_in":0,"refresh_expires_in":0,"refresh_token":null}}`
			if got := fixed(w.Body.String()); w.Code != tc.status || got != want {
				t.Errorf("%d\n%s, want %d\n%s", w.Code, got, tc.status, want)
			}
			if (tc.cause == nil) != (len(a.in) == 0) || (tc.cause == nil) != (log.Len() == 0) {
				t.Errorf("asked for %q, logged %q", a.in, &log)
			}
			if after := w.Header().Get("Retry-After"); (after == "1") != (tc.status == 503) {
				t.Errorf("Retry-After = %q", after)
			}
		})
	}
}

func TestRefreshBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	a := &answers{}
	h := openRefresh(t, a)
	get := call(t, h, refreshPath+"?refresh_token=x", nil, func(r *http.Request) { r.Method = http.MethodGet })
	inURL := call(t, h, refreshPath+"?refresh_token=x", strings.NewReader(""), form)
	json := call(t, h, refreshPath, strings.NewReader(`{"refresh_token":"x"}`))
	long := call(t, h, refreshPath, strings.NewReader("refresh_token="+strings.Repeat("x", maxBody)), form)
	for status, w := range map[int]int{405: get.Code, 400: inURL.Code, 415: json.Code, 413: long.Code} {
		if w != status {
			t.Errorf("%d, want %d", w, status)
		}
	}
	if len(a.in) != 0 {
		t.Errorf("asked for %q", a.in)
	}
	if w := call(t, open(t), refreshPath, strings.NewReader("refresh_token=x"), form); w.Code != http.StatusNotFound {
		t.Errorf("without a refresher: %d", w.Code)
	}
}

func FuzzRefreshForm(f *testing.F) {
	f.Add("refresh_token=x")
	f.Add("refresh_token=%00&refresh_token")
	f.Add("%zz;")
	a := &answers{got: device.Refreshed{Token: "t"}}
	h := openRefresh(f, a)
	f.Fuzz(func(t *testing.T, body string) {
		a.in = nil
		w := call(t, h, refreshPath, strings.NewReader(body), form)
		values, err := url.ParseQuery(body)
		good := err == nil && len(values["refresh_token"]) == 1 && values.Get("refresh_token") != ""
		if good != (w.Code == http.StatusOK) || good != (len(a.in) == 1) || w.Code >= 500 {
			t.Errorf("%d for %q", w.Code, body)
		}
	})
}
