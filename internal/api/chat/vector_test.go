package chat

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// vector is a frame of testdata/protocol, which the web SDK's tests read too.
type vector struct {
	Name      string
	Direction string // client or server
	Frame     json.RawMessage
	Text      *string // in place of frame, for what is no JSON or must stay as it is
	Valid     bool
	Why       string
	Error     string // the code that a client's frame is refused with
}

func (v vector) text() []byte {
	if v.Text != nil {
		return []byte(*v.Text)
	}
	return v.Frame
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/protocol/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vs []vector
		if err := json.Unmarshal(data, &vs); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, vs...)
	}
	if len(all) < 100 {
		t.Fatalf("%d vectors in %d files, want at least 100", len(all), len(files))
	}
	return all
}

func TestVectors(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range vectors(t) {
		if seen[v.Name] {
			t.Errorf("two vectors have the name %q", v.Name)
		}
		seen[v.Name] = true
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if !v.Valid && v.Why == "" {
				t.Error("no reason is given")
			}
			switch v.Direction {
			case "client":
				_, err := decode(v.text())
				switch {
				case v.Valid && err != nil:
					t.Errorf("decode() = %v, want a frame", err)
				case !v.Valid && err == nil:
					t.Errorf("decode() takes it; %s", v.Why)
				case err != nil && badFrame(err).wire.Code != v.Error:
					t.Errorf("refused with %q, want %q", badFrame(err).wire.Code, v.Error)
				}
			case "server":
				if why := checkServerFrame(v.text()); v.Valid != (why == "") {
					t.Errorf("check says %q", why)
				}
			default:
				t.Errorf("direction %q", v.Direction)
			}
		})
	}
}

// need says what a member of a server's frame must be.
type need func(v any) bool

var (
	aText   need = func(v any) bool { s, ok := v.(string); return ok && s != "" }
	aNumber need = func(v any) bool { n, ok := v.(float64); return ok && n >= 0 }
	aCount  need = func(v any) bool { n, ok := v.(float64); return ok && n >= 0 && n == math.Trunc(n) }
	aSeq    need = func(v any) bool { return aCount(v) && v != float64(0) }
	aTime   need = func(v any) bool {
		s, _ := v.(string)
		at, err := time.Parse(time.RFC3339, s)
		return err == nil && s == at.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	aWriter   need = func(v any) bool { return slices.Contains([]any{"user", "bot", "system"}, v) }
	aStanding need = func(v any) bool { return slices.Contains([]any{"locked", "secured", "unavailable"}, v) }
	aValue    need = func(v any) bool { return v != nil }
	anError   need = func(v any) bool {
		m, _ := v.(map[string]any)
		after, hasAfter := m["retry_after"]
		return aText(m["code"]) && aText(m["title"]) && (!hasAfter || aNumber(after)) &&
			strings.Trim(m["code"].(string), "abcdefghijklmnopqrstuvwxyz_") == ""
	}
	aUser need = func(v any) bool {
		m, _ := v.(map[string]any)
		return aText(m["iss"]) && aText(m["sub"])
	}
)

// serverFrames are the frames that the server may send, as DESIGN.md §7 has them. A
// name that ends in "?" may be missing.
var serverFrames = map[string]map[string]need{
	"welcome": {
		"conversation": aText, "user": aUser, "last_seq": aCount, "read_seq?": aCount, "session": aText,
		"expires_in": aCount, "ping_interval": aSeq,
	},
	"context": {"id": aText},
	"ack":     {"id": aText, "seq": aSeq, "at": aTime},
	"nack":    {"id": aText, "error": anError},
	"message": {"seq": aSeq, "id": aText, "from": aWriter, "body": aValue, "at": aTime},
	"delta":   {"id": aText, "text": aText},
	"typing":  {"from?": aWriter},
	"read":    {"seq": aCount},
	"ping":    {},
	"pong":    {},
	"session": {"session": aText, "expires_in?": aCount},
	"secure":  {"state": aStanding, "reason": aText, "message?": aText, "retry_after?": aNumber},
	"error":   {"error": anError},
	"close":   {"code": aSeq, "reason": aText},
}

// checkServerFrame says what is wrong with a frame of the server, "" if nothing is.
func checkServerFrame(text []byte) string {
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil || !utf8.Valid(text) {
		return errors.Join(errors.New("not an object"), err).Error()
	}
	kind, _ := m["type"].(string)
	members, ok := serverFrames[kind]
	if !ok {
		return "type is unknown"
	}
	for name, is := range members {
		name, optional := strings.CutSuffix(name, "?")
		if v, there := m[name]; !there && !optional || there && !is(v) {
			return name + " is missing or wrong"
		}
	}
	return ""
}
