package bot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/secret"
)

// saidFunc is a history.
type saidFunc func(conversation string, before int64, limit int) ([]Line, error)

func (f saidFunc) Said(_ context.Context, conversation string, before int64, limit int) ([]Line, error) {
	return f(conversation, before, limit)
}

// model runs a server of one handler, and returns a bot that asks it.
func model(t *testing.T, h http.HandlerFunc, edits ...func(*OpenAIConfig)) *OpenAI {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := OpenAIConfig{Endpoint: Endpoint{URL: srv.URL + "/v1/"}, Model: "tiny"}
	for _, edit := range edits {
		edit(&c)
	}
	o, err := NewOpenAI(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// chunks answers with server-sent events.
func chunks(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			io.WriteString(w, "data: "+e+"\n\n")
			w.(http.Flusher).Flush()
		}
	}
}

func TestOpenAIRequest(t *testing.T) {
	t.Parallel()
	type said = openAIMessage
	for name, tc := range map[string]struct {
		edit func(*OpenAIConfig)
		key  string
		want []said
	}{
		"bare": {func(*OpenAIConfig) {}, "", []said{{"user", "<hi> & 店"}}},
		"whole": {func(c *OpenAIConfig) {
			c.Prompt, c.Key, c.Window = "Be brief.", secret.FromString("sk-1"), 7
			c.History = saidFunc(func(conversation string, before int64, limit int) ([]Line, error) {
				if conversation != "cnv_1" || before != 3 || limit != 7 {
					return nil, errors.New("asked for something else")
				}
				return []Line{{true, "one"}, {false, "two"}}, nil
			})
		}, "Bearer sk-1", []said{{"system", "Be brief."}, {"user", "one"}, {"assistant", "two"}, {"user", "<hi> & 店"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := model(t, func(w http.ResponseWriter, r *http.Request) {
				var got struct {
					Model    string
					Messages []said
					Stream   bool
				}
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tc.want, got.Messages); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
				if r.URL.Path != "/v1/chat/completions" || got.Model != "tiny" || !got.Stream || r.Header.Get("Authorization") != tc.key {
					t.Errorf("%s, model %q, stream %t, key %q", r.URL, got.Model, got.Stream, r.Header.Get("Authorization"))
				}
				chunks(`{"choices":[{"index":0,"delta":{"content":"yes"}}]}`, "[DONE]")(w, r)
			}, tc.edit)
			if a, err := o.Answer(t.Context(), sampleTurn); err != nil || string(a.Replies[0].Body) != `{"text":"yes"}` {
				t.Errorf("Answer() = %+v, %v", a, err)
			}
		})
	}
}

func TestOpenAIAnswers(t *testing.T) {
	t.Parallel()
	const hi, end = `{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	whole := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		}
	}
	for name, tc := range map[string]struct {
		server http.HandlerFunc
		want   string // a text, or "retry" or "final"
	}{
		"stream":            {chunks(hi, `{"choices":[{"index":0,"delta":{"content":" <you>"}}]}`, end, `{"choices":[],"usage":{}}`, "[DONE]", hi), `{"text":"Hi <you>"}`},
		"other choices":     {chunks(`{"choices":[{"index":1,"delta":{"content":"No"}}]}`, hi, "[DONE]"), `{"text":"Hi"}`},
		"without done":      {chunks(hi, end), `{"text":"Hi"}`},
		"cut off":           {chunks(hi), "retry"},
		"error in stream":   {chunks(hi, `{"error":{"message":"overloaded"}}`), "retry"},
		"no text":           {chunks(end, "[DONE]"), "final"},
		"not a chunk":       {chunks("hello"), "final"},
		"does not stream":   {whole(`{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`), `{"text":"Hi"}`},
		"says nothing":      {whole(`{"choices":[]}`), "final"},
		"does not know us":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "final"},
		"has too much work": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "retry"},
		"is broken":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "retry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []Delta
			a, err := model(t, tc.server).Stream(t.Context(), sampleTurn, func(d Delta) { told = append(told, d) })
			final, _ := judge(err)
			got := map[bool]string{true: "final", false: "retry"}[final]
			if err == nil {
				got = string(a.Replies[0].Body)
				if len(told) == 0 || told[0].ID != a.Replies[0].ID || !strings.HasPrefix(told[0].Text, "Hi") {
					t.Errorf("told %+v of %+v", told, a)
				}
			}
			if got != tc.want {
				t.Errorf("Stream() = %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func TestOpenAIAnswersTextAlone(t *testing.T) {
	t.Parallel()
	o := model(t, func(http.ResponseWriter, *http.Request) { t.Error("the model is asked") })
	for name, turn := range map[string]Turn{
		"welcome":   {Kind: Welcome},
		"a button":  {Kind: Message, Body: json.RawMessage(`{"button":1}`)},
		"no object": {Kind: Message, Body: json.RawMessage(`7`)},
	} {
		if a, err := o.Answer(t.Context(), turn); err != nil || len(a.Replies) != 0 {
			t.Errorf("%s: Answer() = %+v, %v, want nothing", name, a, err)
		}
	}
	o = model(t, chunks(), func(c *OpenAIConfig) {
		c.Window, c.History = 1, saidFunc(func(string, int64, int) ([]Line, error) { return nil, errors.New("store away") })
	})
	if _, err := o.Answer(t.Context(), sampleTurn); err == nil {
		t.Error("Answer() without a store = nil error")
	}
}

func TestNewOpenAIRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]OpenAIConfig{
		"no model":   {Endpoint: Endpoint{URL: "https://x/v1"}},
		"no URL":     {Model: "m"},
		"no history": {Endpoint: Endpoint{URL: "https://x/v1"}, Model: "m", Window: 1},
	} {
		if _, err := NewOpenAI(c); err == nil {
			t.Errorf("%s: NewOpenAI() = nil error", name)
		}
	}
}
