package chat

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]frame{
		`{"type":"hello","token":"t","bot":"echo"}`: helloFrame{token: "t", bot: "echo", after: chat.FromNow},
		`{"type":"hello","token":"t","bot":"echo","conversation":"cnv_a","after":0,"session":"s","context":{"a": 1},"merge":"v"}`: helloFrame{
			token: "t", bot: "echo", conversation: "cnv_a", session: "s", context: json.RawMessage(`{"a":1}`), merge: "v",
		},
		`{"after":9007199254740991,"bot":"é \u0041","token":"t","type":"hello"}`: helloFrame{token: "t", bot: "é A", after: maxCount},
		`{"type":"send","id":"m-1","body":{ "text" : "a } \" ] { b" }}`:          sendFrame{"m-1", json.RawMessage(`{"text":"a } \" ] { b"}`)},
		"{\"body\"\t:\r\n 1.50 , \"id\" : \"m\" , \"type\" : \"send\"}\n":        sendFrame{"m", json.RawMessage(`1.50`)},
		`{"type":"send","id":"m","body":false}`:                                  sendFrame{"m", json.RawMessage(`false`)},
		`{"type":"send","id":"m","body":"<\\>"}`:                                 sendFrame{"m", json.RawMessage(`"<\\>"`)},
		`{"type":"send","x":{"id":"inner"},"id":"m","body":[[]]}`:                sendFrame{"m", json.RawMessage(`[[]]`)},
		`{"type":"typing"}`:                           typingFrame{},
		`{"type":"read","seq":12}`:                    readFrame{12},
		`{"type":"context","set":{"a":{"b":[]}}}`:     contextFrame{set: json.RawMessage(`{"a":{"b":[]}}`)},
		`{"type":"context","id":"c-1","set":{}}`:      contextFrame{id: "c-1", set: json.RawMessage(`{}`)},
		`{"type":"refresh","token":"t2"}`:             refreshFrame{"t2"},
		`{"\u0074ype":"ping","extra":null,"extra":1}`: pingFrame{},
		`{"type":"pong"}`:                             pongFrame{},
	} {
		got, err := decode([]byte(text))
		if err != nil {
			t.Errorf("decode(%s): %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("decode(%s) = %#v, want %#v", text, got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32)
	for name, tc := range map[string]struct{ text, field string }{
		"no UTF-8":              {"{\"type\":\"typing\",\"x\":\"\xff\"}", ""},
		"context too large":     {`{"type":"context","set":{"a":"` + strings.Repeat("x", chat.MaxContext) + `"}}`, "set"},
		"token too long":        {`{"type":"refresh","token":"` + strings.Repeat("x", 16<<10+1) + `"}`, "token"},
		"session too long":      {`{"type":"hello","token":"t","bot":"b","session":"` + strings.Repeat("x", maxSession+1) + `"}`, "session"},
		"depth beside the body": {`{"type":"typing","x":` + strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32) + `}`, ""},
		"context that is deep":  {`{"type":"context","set":` + deep + `}`, ""},
		"list with an id":       {`{"type":"context","id":"c","set":[]}`, "set"},
		"id that is none":       {`{"type":"context","id":"c c","set":{}}`, "id"},
		"merge too long":        {`{"type":"hello","token":"t","bot":"b","merge":"` + strings.Repeat("x", 16<<10+1) + `"}`, "merge"},
		"number without end":    {`{"type":"read","seq":123456789012345678901234567890}`, "seq"},
		"the first of two":      {`{"type":"send","id":7}`, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := decode([]byte(tc.text))
			if f != nil || fault.KindOf(err) != fault.Invalid || fault.Public(err).Field != tc.field {
				t.Errorf("decode() = %v, %v; want a refusal of %q", f, err, tc.field)
			}
		})
	}
}

// TestDecodeCopies reuses the text's memory, as the reader does.
func TestDecodeCopies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]frame{
		`{"type":"send","id":"mmmm","body":{"text":"hello"}}`: sendFrame{"mmmm", json.RawMessage(`{"text":"hello"}`)},
		`{"type":"context","set":{"page":"start"}}`:           contextFrame{set: json.RawMessage(`{"page":"start"}`)},
		`{"type":"refresh","token":"tttt"}`:                   refreshFrame{"tttt"},
	} {
		data := []byte(text)
		got, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		copy(data, bytes.Repeat([]byte("#"), len(data)))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the frame is now %+v, want %+v", got, want)
		}
	}
}

// FuzzDecode compares with encoding/json what is taken, and takes it again when it is
// written anew.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.text())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decode(text)
		if err != nil {
			if got != nil || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("decode(%q) = %v, %v", text, got, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatalf("decode(%q) takes what is no object: %v", text, err)
		}
		if s, ok := got.(sendFrame); ok {
			sameJSON(t, s.body, members["body"])
			var id string
			if json.Unmarshal(members["id"], &id) != nil || id != s.id {
				t.Errorf("id %q, want %s", s.id, members["id"])
			}
		}
		if c, ok := got.(contextFrame); ok {
			sameJSON(t, c.set, members["set"])
		}
		again, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > len(text) {
			return // written with escapes it may break a bound
		}
		second, err := decode(again)
		if err != nil {
			t.Fatalf("decode(%q): %v; want what %q gives", again, err, text)
		}
		if reflect.TypeOf(second) != reflect.TypeOf(got) {
			t.Errorf("decode(%q) = %T, want %T", again, second, got)
		}
	})
}

func sameJSON(t *testing.T, a, b json.RawMessage) {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("%q: %v", a, err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	if !reflect.DeepEqual(x, y) {
		t.Errorf("value %v, want %v", x, y)
	}
}
