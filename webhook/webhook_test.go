package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// example is that of the Standard Webhooks specification.
func example() (h http.Header, body []byte, now time.Time) {
	h = http.Header{}
	h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("webhook-timestamp", "1614265330")
	h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	return h, []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit    func(h http.Header, body *[]byte, now *time.Time)
		secrets []string
		ok      bool
	}{
		"as it is": {func(http.Header, *[]byte, *time.Time) {}, nil, true},
		"among signatures": {func(h http.Header, _ *[]byte, _ *time.Time) {
			h.Set("webhook-signature", "v1,AAAA v2,x "+h.Get("webhook-signature"))
		}, nil, true},
		"of the old secret":  {func(http.Header, *[]byte, *time.Time) {}, []string{"another secret of ours", secret}, true},
		"of another secret":  {func(http.Header, *[]byte, *time.Time) {}, []string{"another secret of ours"}, false},
		"clock a bit behind": {func(_ http.Header, _ *[]byte, now *time.Time) { *now = now.Add(-webhook.Tolerance) }, nil, true},
		"clock far behind":   {func(_ http.Header, _ *[]byte, now *time.Time) { *now = now.Add(-webhook.Tolerance - 1) }, nil, false},
		"old":                {func(_ http.Header, _ *[]byte, now *time.Time) { *now = now.Add(webhook.Tolerance + 1) }, nil, false},
		"other body":         {func(_ http.Header, b *[]byte, _ *time.Time) { *b = append(*b, ' ') }, nil, false},
		"other id":           {func(h http.Header, _ *[]byte, _ *time.Time) { h.Set("webhook-id", "msg_2") }, nil, false},
		"no id":              {func(h http.Header, _ *[]byte, _ *time.Time) { h.Del("webhook-id") }, nil, false},
		"other time":         {func(h http.Header, _ *[]byte, _ *time.Time) { h.Set("webhook-timestamp", "1614265331") }, nil, false},
		"no time":            {func(h http.Header, _ *[]byte, _ *time.Time) { h.Set("webhook-timestamp", "now") }, nil, false},
		"no signature":       {func(h http.Header, _ *[]byte, _ *time.Time) { h.Del("webhook-signature") }, nil, false},
		"other version": {func(h http.Header, _ *[]byte, _ *time.Time) {
			h.Set("webhook-signature", "v2"+h.Get("webhook-signature")[2:])
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.secrets == nil {
				tc.secrets = []string{secret}
			}
			v, err := webhook.NewVerifier(tc.secrets...)
			if err != nil {
				t.Fatal(err)
			}
			h, body, now := example()
			tc.edit(h, &body, &now)
			if err := v.Verify(h, body, now); (err == nil) != tc.ok || err != nil && !errors.Is(err, webhook.ErrSignature) {
				t.Errorf("Verify() = %v, want it to pass: %t", err, tc.ok)
			}
		})
	}
	for _, bad := range [][]string{nil, {""}, {"short"}, {"whsec_%"}, {"whsec_AAAA"}} {
		if _, err := webhook.NewVerifier(bad...); err == nil {
			t.Errorf("NewVerifier(%q) = nil error", bad)
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	h, err := webhook.Handler(func(context.Context, webhook.Event) (webhook.Answer, error) {
		t.Error("the bot was called")
		return webhook.Answer{}, nil
	}, secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"no signature": {`{}`, http.StatusUnauthorized},
		"too long":     {strings.Repeat("x", 1<<20+1), http.StatusBadRequest},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tc.body)))
		if w.Code != tc.status {
			t.Errorf("%s: status %d, want %d", name, w.Code, tc.status)
		}
	}
	if _, err := webhook.Handler(nil); err == nil {
		t.Error("Handler() without a secret = nil error")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"text":"hi"}`: "hi", `{"button":1}`: "", `[1]`: "", `"hi"`: ""} {
		if got := (webhook.Event{Message: &webhook.Message{Body: json.RawMessage(body)}}).Text(); got != want {
			t.Errorf("Text() of %s = %q, want %q", body, got, want)
		}
	}
	if got := (webhook.Event{}).Text(); got != "" {
		t.Errorf("Text() of a welcome = %q", got)
	}
}

func ExampleHandler() {
	bot, err := webhook.Handler(func(_ context.Context, e webhook.Event) (webhook.Answer, error) {
		if e.Type != webhook.MessageCreated {
			return webhook.Say("Hello!"), nil
		}
		return webhook.Say("You said: " + e.Text()), nil
	}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	http.Handle("/bot", bot)
	// Output:
}

// FuzzVerify changes a signed call: what differs does not pass, and nothing panics.
func FuzzVerify(f *testing.F) {
	h, body, now := example()
	f.Add(h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature"), body)
	f.Add("", "", "v1,", []byte(`{}`))
	v, err := webhook.NewVerifier(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, at, signature string, other []byte) {
		given := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {signature}}
		_, err := v.Event(given, other, now)
		same := id == h.Get("webhook-id") && at == h.Get("webhook-timestamp") && string(other) == string(body)
		if err == nil && !same {
			t.Errorf("another call passes: %q %q %q", id, at, other)
		}
	})
}
