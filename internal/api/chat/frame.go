package chat

import (
	"encoding/json"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// The bounds of a client's frame.
const (
	maxFrame   = 64 << 10 // bytes, before it is looked at
	maxDepth   = 32       // levels of objects and lists, the frame's own included
	maxName    = 64       // bytes of a bot's name and of ids
	maxSession = 21 << 10 // bytes of sealed state: a hello has room for that, two tokens and a context
	maxCount   = 1<<53 - 1
)

// frame is what a client says, of one of the types below. It shares no memory with
// the text that it was decoded from.
type frame any

type (
	helloFrame struct {
		token        string
		bot          bot.ID
		conversation chat.ID         // "": the session's, else the user's current one
		after        int64           // the last message that the client has, or chat.FromNow
		session      string          // "": none
		merge        string          // the token of the visitor that the user was before; "": none
		context      json.RawMessage // nil: none
	}
	sendFrame struct {
		id   string
		body json.RawMessage // compact, not null
	}
	typingFrame  struct{}
	readFrame    struct{ seq int64 }
	contextFrame struct {
		id      string          // "": no answer is wanted
		set     json.RawMessage // if there is an id, of any size
		refusal error           // what else is wrong with set, if there is an id
	}
	refreshFrame struct{ token string }
	pingFrame    struct{}
	pongFrame    struct{}
)

// decoders has the types of frames that clients may send.
var decoders = map[string]func(*members) frame{
	"hello": func(m *members) frame {
		return helloFrame{
			token:        m.text("token", required, jose.MaxToken, anything),
			bot:          bot.ID(m.text("bot", required, maxName, anything)),
			conversation: chat.ID(m.text("conversation", optional, maxName, isID)),
			after:        m.count("after", optional, chat.FromNow),
			session:      m.text("session", optional, maxSession, anything),
			context:      m.object("context", optional, chat.MaxContext),
			merge:        m.text("merge", optional, jose.MaxToken, anything),
		}
	},
	"send": func(m *members) frame {
		return sendFrame{id: m.text("id", required, chat.MaxID, isID), body: m.value("body")}
	},
	"typing": func(*members) frame { return typingFrame{} },
	"read":   func(m *members) frame { return readFrame{seq: m.count("seq", required, 0)} },
	"context": func(m *members) frame {
		f := contextFrame{id: m.text("id", optional, chat.MaxID, isID)}
		most := chat.MaxContext
		if f.id != "" {
			most = maxFrame // what is too large is answered
		}
		f.set = m.object("set", required, most)
		return f
	},
	"refresh": func(m *members) frame { return refreshFrame{token: m.text("token", required, jose.MaxToken, anything)} },
	"ping":    func(*members) frame { return pingFrame{} },
	"pong":    func(*members) frame { return pongFrame{} },
}

// decode reads a client's frame. Types that carnet.v1 does not have are refused, and
// so are members of the wrong type or given twice; members that the type does not
// have are left for later versions. Names are compared byte by byte. The error is a
// [fault.Invalid] that says what would be right.
func decode(text []byte) (frame, error) {
	m, err := split(text)
	if err != nil {
		return nil, err
	}
	name := m.text("type", required, maxName, anything)
	read, known := decoders[name]
	if m.err == nil && !known {
		return nil, fault.BadField("type", "must be hello, send, typing, read, context, refresh, ping or pong")
	}
	if m.err != nil {
		return nil, m.err
	}
	f := read(m)
	if m.err != nil {
		return nil, m.err
	}
	if m.deep {
		deep := fault.Newf(fault.Invalid, "a frame must not nest deeper than %d levels", maxDepth)
		c, ok := f.(contextFrame)
		if !ok || c.id == "" {
			return nil, deep
		}
		c.refusal = deep
		return c, nil
	}
	return f, nil
}

func isID(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func anything(byte) bool { return true }
