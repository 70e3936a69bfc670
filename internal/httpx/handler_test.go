package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestWriteProblem(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial 10.0.0.7")
	for name, tc := range map[string]struct {
		err        error
		want       Problem
		header     string // one that must be set, as "Name: value"
		wantLogged string // level of the log line; empty: none
	}{
		"unclassified": {
			cause,
			Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Detail: "internal error", Code: "internal"},
			"Cache-Control: no-store", "ERROR",
		},
		"field": {
			fault.BadField("identity", "must not be empty"),
			Problem{Type: "about:blank", Title: "Bad Request", Status: 400, Detail: "must not be empty", Code: "invalid", Field: "identity"},
			"Content-Type: application/problem+json", "",
		},
		"hidden reason": {
			fault.Wrap(fault.Unauthenticated, "credentials are not valid", cause),
			Problem{Type: "about:blank", Title: "Unauthorized", Status: 401, Detail: "credentials are not valid", Code: "unauthenticated"},
			"Www-Authenticate: Bearer", "INFO",
		},
		"wait": {
			&fault.Error{Kind: fault.Limited, Msg: "too many requests", RetryAfter: 1200 * time.Millisecond},
			Problem{Type: "about:blank", Title: "Too Many Requests", Status: 429, Detail: "too many requests", Code: "limited"},
			"Retry-After: 2", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			ctx := WithLog(t.Context(), slog.New(slog.NewTextHandler(&logged, nil)))
			w := httptest.NewRecorder()
			h := Handler(func(http.ResponseWriter, *http.Request) error { return tc.err })
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/x", nil))

			var got Problem
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
			if w.Code != tc.want.Status {
				t.Errorf("status = %d, want %d", w.Code, tc.want.Status)
			}
			if name, value, _ := strings.Cut(tc.header, ": "); w.Header().Get(name) != value {
				t.Errorf("header %s = %q, want %q", name, w.Header().Get(name), value)
			}
			if strings.Contains(w.Body.String(), "10.0.0.7") {
				t.Error("the cause is shown")
			}
			switch {
			case tc.wantLogged == "" && logged.Len() > 0:
				t.Errorf("logged %q, want nothing", &logged)
			case tc.wantLogged != "" && !(strings.Contains(logged.String(), "level="+tc.wantLogged) && strings.Contains(logged.String(), "10.0.0.7")):
				t.Errorf("logged %q, want level %s and the cause", &logged, tc.wantLogged)
			}
		})
	}
}

func TestWriteProblemKeepsChallenge(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
	WriteProblem(w, httptest.NewRequest("GET", "/", nil), fault.New(fault.Unauthenticated, "no"))
	if got := w.Header().Get("WWW-Authenticate"); got != `Basic realm="x"` {
		t.Errorf("challenge = %q, want the handler's own", got)
	}
}

func TestWriteProblemOfACancelledRequestIsNoFaultOfOurs(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	ctx, cancel := context.WithCancel(WithLog(t.Context(), slog.New(slog.NewTextHandler(&logged, nil))))
	cancel()
	w := httptest.NewRecorder()
	WriteProblem(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil), context.Canceled)
	if w.Code != http.StatusServiceUnavailable || logged.Len() > 0 {
		t.Errorf("status %d, logged %q; want 503 and nothing", w.Code, &logged)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Handler(NotFound).ServeHTTP(w, httptest.NewRequest("GET", "/nowhere", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("status = %d, want 404", w.Code)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 61*time.Second + 1: "62"} {
		if got := RetryAfter(d); got != want {
			t.Errorf("RetryAfter(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		v          any
		wantStatus int
		wantBody   string
	}{
		"value":       {map[string]int{"a": 1}, http.StatusCreated, `{"a":1}`},
		"markup":      {map[string]string{"a": "<&>\n"}, http.StatusCreated, `{"a":"<&>\n"}`},
		"unencodable": {func() {}, http.StatusInternalServerError, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			WriteJSON(w, http.StatusCreated, tc.v)
			if w.Code != tc.wantStatus || w.Body.String() != tc.wantBody {
				t.Errorf("WriteJSON() = %d %q, want %d %q", w.Code, w.Body, tc.wantStatus, tc.wantBody)
			}
		})
	}
}
