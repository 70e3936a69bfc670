package kore

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

func vectors[T any](t testing.TB, name string) (cases []T) {
	t.Helper()
	text, err := os.ReadFile("../../../testdata/kore/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 15 {
		t.Errorf("%s has %d cases", name, len(cases))
	}
	return cases
}

// sameJSON compares texts of JSON.
func sameJSON(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if len(want) == 0 {
		want = []byte("null")
	}
	if len(got) == 0 {
		got = []byte("null")
	}
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%s: %v: %s", what, err, got)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b, a); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// frameCase is what a page sends, and what is kept of it.
type frameCase struct {
	Name    string          `json:"name"`
	Frame   json.RawMessage `json:"frame"`
	ID      string          `json:"id"`
	Body    json.RawMessage `json:"body"`
	Context json.RawMessage `json:"context"`
	Error   string          `json:"error"` // part of it; "": none
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, tc := range vectors[frameCase](t, "frames.json") {
		t.Run(tc.Name, func(t *testing.T) {
			t.Parallel()
			f, err := decode(tc.Frame)
			var id string
			var body json.RawMessage
			if err == nil {
				id, err = f.messageID()
			}
			if err == nil {
				body, err = f.body(nil)
			}
			if tc.Error != "" {
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tc.Error) {
					t.Errorf("error = %v, want one about %s", err, tc.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id != tc.ID {
				t.Errorf("id = %q, want %q", id, tc.ID)
			}
			sameJSON(t, "body", body, tc.Body)
			sameJSON(t, "context", newContext(f.BotInfo, f.Meta), tc.Context)
		})
	}
}

// FuzzFrame looks for a frame that is kept under an id, or in a form, that nobody could
// read back.
func FuzzFrame(f *testing.F) {
	for _, tc := range vectors[frameCase](f, "frames.json") {
		f.Add([]byte(tc.Frame))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decode(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("decode() = %v", err)
			}
			return
		}
		if c := newContext(m.BotInfo, m.Meta); c != nil && !json.Valid(c) {
			t.Errorf("context %q", c)
		}
		id, err := m.messageID()
		if err != nil || m.Message == nil {
			return
		}
		if !safeID(id) {
			t.Errorf("id %q", id)
		}
		body, err := m.body(nil)
		if err != nil {
			return
		}
		kept := chat.Message{Seq: 1, ID: id, From: chat.FromUser, Body: body, At: time.UnixMilli(1_767_261_600_000)}
		if frame, err := wire.JSON(newUserMessage(kept)); err != nil || !json.Valid(frame) {
			t.Errorf("%q leads to the frame %q (%v)", body, frame, err)
		}
		if p := newPast(grant{}, "c", kept); json.Valid([]byte(p.Components[0].Data.Text)) && !read(body).template() {
			t.Errorf("the history has %q, which the SDK takes for JSON", p.Components[0].Data.Text)
		}
	})
}

// messageCase is a message of a conversation, and what the SDK is told of it.
type messageCase struct {
	Name      string          `json:"name"`
	From      chat.From       `json:"from"`
	ID        string          `json:"id"`
	Body      json.RawMessage `json:"body"`
	Component json.RawMessage `json:"component"` // of the bot's and the system's
	User      *struct {       // of the user's
		ID          json.Number     `json:"id"`
		Body        string          `json:"body"`
		Attachments json.RawMessage `json:"attachments"`
	} `json:"user"`
	Past string `json:"past"` // the text of the component in the history
}

func TestMessages(t *testing.T) {
	t.Parallel()
	g := grant{BotID: "st-1", BotName: "B"}
	for _, tc := range vectors[messageCase](t, "messages.json") {
		t.Run(tc.Name, func(t *testing.T) {
			t.Parallel()
			var body bytes.Buffer
			if err := json.Compact(&body, tc.Body); err != nil {
				t.Fatal(err)
			}
			m := chat.Message{Seq: 7, ID: tc.ID, From: tc.From, Body: body.Bytes(), At: time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)}
			p := newPast(g, "cnv_1", m)
			if got := p.Components[0].Data.Text; got != tc.Past {
				t.Errorf("the history has %q, want %q", got, tc.Past)
			}
			if tc.User != nil {
				frame, err := wire.JSON(newUserMessage(m))
				if err != nil {
					t.Fatal(err)
				}
				want, _ := json.Marshal(map[string]any{
					"type": "user_message", "from": "self", "id": tc.User.ID, "createdOn": "2026-01-01T10:00:00.000Z",
					"message": map[string]any{"body": tc.User.Body},
				})
				if tc.User.Attachments != nil {
					want, _ = json.Marshal(map[string]any{
						"type": "user_message", "from": "self", "id": tc.User.ID, "createdOn": "2026-01-01T10:00:00.000Z",
						"message": map[string]any{"body": tc.User.Body, "attachments": tc.User.Attachments},
					})
				}
				sameJSON(t, "frame", frame, want)
				if p.ID != string(tc.User.ID) || p.ClientID != p.ID || p.Type != "incoming" {
					t.Errorf("the history has _id %q, userMsgId %q, type %q", p.ID, p.ClientID, p.Type)
				}
				return
			}
			if p.ID != tc.ID || p.Type != "outgoing" {
				t.Errorf("the history has _id %q, type %q: the SDK draws the live one again", p.ID, p.Type)
			}
			r := newResponse(g, "cnv_1", m)
			component, err := wire.JSON(r.Message[0].Component)
			if err != nil {
				t.Fatal(err)
			}
			sameJSON(t, "component", component, tc.Component)
			if r.MessageID != tc.ID || r.From != "bot" || r.Type != "bot_response" || r.CreatedOn != "2026-01-01T10:00:00.000Z" ||
				r.Timestamp != 1767261600000 || r.Message[0].Type != "text" || r.BotInfo != (wireBot{"B", "st-1"}) {
				t.Errorf("frame %+v", r)
			}
		})
	}
}

// FuzzBody looks for a body that the SDK would fail on: it takes any payload without a
// text for a component, and draws nothing any more when that fails.
func FuzzBody(f *testing.F) {
	for _, tc := range vectors[messageCase](f, "messages.json") {
		f.Add([]byte(tc.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		m := chat.Message{Seq: 1, ID: "bot_1", From: chat.FromBot, Body: body}
		text, err := wire.JSON(newResponse(grant{}, "c", m))
		if err != nil {
			t.Fatal(err)
		}
		var frame struct {
			Message []struct {
				Component struct {
					Type    string
					Payload struct {
						Text    string
						Type    string
						Payload map[string]any
					}
				}
			}
		}
		if err := json.Unmarshal(text, &frame); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		c := frame.Message[0].Component
		if c.Payload.Text == "" && c.Payload.Payload == nil {
			t.Errorf("%q leads to %s, which has neither text nor template", body, text)
		}
	})
}
