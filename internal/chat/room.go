package chat

import (
	"bytes"
	"log/slog"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/securesession"
)

// room is what the sessions of one conversation share on this node.
type room struct {
	engine *Engine // whose lock is taken before the room's
	id     ID
	with   *party
	began  time.Time // the conversation
	refs   int       // sessions, under the engine's lock
	join   sync.Once
	leave  func() // ends the subscription that join began; nil: there is no bus

	mu       sync.Mutex
	sessions []*Session
	known    int64 // the newest message that there is, as far as the room has heard
	stored   int64 // that one as the store itself has said, which may be gone by its age
	moves    int64 // see Conversation.Moves, likewise
	reading  bool  // whether it reads from the store what sessions lack

	// The mailbox.
	working     bool
	queue       []send
	read, saved int64                 // how far the user has read, and how much of that the store knows
	typing      bool                  // other nodes are to be told
	notice      *securesession.Notice // likewise; nil: nothing
}

// deliver gives each session what it may take of ms, which are in order: the message
// that follows its last one, and so on. What does not fit is caught up on.
func (r *room) deliver(ms []Message) {
	if len(ms) == 0 {
		return
	}
	r.known = max(r.known, ms[len(ms)-1].Seq)
	for _, s := range r.sessions {
		if !s.ready {
			continue
		}
		for _, m := range ms {
			if m.Seq == s.last+1 {
				s.take(m)
			}
		}
	}
	r.catchUp()
}

// tell calls f for the sinks of all sessions but one.
func (r *room) tell(but *Session, f func(Sink)) {
	for _, s := range r.sessions {
		if s != but && s.ready {
			f(s.sink)
		}
	}
}

// hear takes an event from the bus.
func (r *room) hear(data []byte) {
	if bytes.HasPrefix(data, r.engine.ours) {
		return // the room knew before it told the bus
	}
	ev, err := decodeEvent(data)
	if err != nil {
		r.engine.c.Log.Warn("event dropped", slog.Any("err", err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliver(ev.messages())
	if ev.Seq > r.known {
		r.known = ev.Seq
		r.catchUp()
	}
	r.hint(ev)
	r.move(ev.Moves)
	r.wasRead(ev.Read)
}

// hint tells the sessions what of an event is not stored.
func (r *room) hint(ev event) {
	if ev.Typing != "" {
		r.tell(nil, func(k Sink) { k.Typing(ev.Typing) })
	}
	if n := ev.Secure; n != nil {
		r.secure(securesession.Notice(*n))
	}
	if d := ev.Delta; d != nil {
		r.tell(nil, func(k Sink) { k.Delta(d.ID, d.Text) })
	}
}

// move ends the sessions of who had the conversation before it moved for that time.
func (r *room) move(moves int64) {
	if moves <= r.moves {
		return
	}
	r.moves = moves
	for _, s := range r.sessions {
		if s.ready && s.conv.Moves < moves {
			s.sink.Moved()
		}
	}
}

// saw takes what the store has, and goes on with what an error or a full queue had
// stopped.
func (r *room) saw(s Stand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.move(s.Moves)
	r.stored = max(r.stored, s.Last)
	r.known = max(r.known, s.Last)
	r.catchUp()
	r.work()
}
