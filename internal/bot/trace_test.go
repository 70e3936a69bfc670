package bot

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/observe/observetest"
	"github.com/carnetproject/carnet/internal/trace"
)

// TestTurnsAreTraced has attempts end in all ways, in the trace of their message.
func TestTurnsAreTraced(t *testing.T) {
	t.Parallel()
	fails := func(err error) botFunc {
		return func(ctx context.Context, _ Turn) (Answer, error) {
			if err == nil {
				<-ctx.Done()
				err = ctx.Err()
			}
			return Answer{}, err
		}
	}
	for name, tc := range map[string]struct {
		bot     Bot
		stop    bool
		outcome string
		mark    string
	}{
		"answered": {Echo{}, false, "answered", ""},
		"failed":   {fails(errors.New("secret text")), false, "failed", " !"},
		"refused":  {fails(unusable("is not JSON")), false, "refused", " !"},
		"timeout":  {fails(nil), false, "timeout", " !"},
		"stopped":  {fails(nil), true, "stopped", " !"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBook()
				var of trace.Cause
				r, err := NewRunner(RunnerConfig{Turns: b, Replies: b, Timeout: 2 * time.Second, Log: slog.New(slog.DiscardHandler), Bots: bots{"x": botFunc(func(ctx context.Context, t Turn) (Answer, error) {
					of = trace.CauseOf(ctx)
					return tc.bot.Answer(ctx, t)
				})}.registry()})
				if err != nil {
					t.Fatal(err)
				}
				ctx, recorded := observetest.Record(t.Context())
				within, message := trace.Start(ctx, "message")
				cause := trace.CauseOf(within)
				message.End()
				work, stop := context.WithCancel(ctx)
				defer stop()
				if tc.stop {
					time.AfterFunc(time.Second, stop)
				}
				(*r.callers.Load())["x"].answer(work, Turn{Conversation: "c1", Kind: Message, Bot: "x", Body: []byte(`{"text":"hi"}`), Attempt: 3, Cause: cause})
				want := []string{"message", "bot turn carnet.attempt=3 carnet.bot=x carnet.outcome=" + tc.outcome + " carnet.turn=message" + tc.mark}
				if diff := cmp.Diff(want, recorded()); diff != "" {
					t.Errorf("spans (-want +got):\n%s", diff)
				}
				if of.TraceID() != cause.TraceID() || of.SpanID() == cause.SpanID() {
					t.Error("the bot is not called in the trace of the message")
				}
			})
		})
	}
}

// TestCallsAreTraced tells a bot which trace its call is a part of.
func TestCallsAreTraced(t *testing.T) {
	t.Parallel()
	var told http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = r.Header
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	c, err := newClient(Endpoint{URL: s.URL, Headers: http.Header{"Traceparent": {"of the configuration"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, recorded := observetest.Record(t.Context())
	if err := c.post(ctx, nil, func(http.Header) {}, nil); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"bot call http.response.status_code=503 !"}, recorded()); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if got := told.Values("Traceparent"); len(got) != 1 || len(got[0]) != 55 {
		t.Errorf("the bot is told %q", got)
	}
	if err := c.post(t.Context(), nil, func(http.Header) {}, nil); err == nil || told.Get("Traceparent") != "of the configuration" {
		t.Errorf("without traces the bot is told %q", told.Get("Traceparent"))
	}
}
