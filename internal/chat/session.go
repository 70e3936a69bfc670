package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// Session is one connection's part in a conversation. Its methods return at once,
// but for SetContext and PageContext. Safe for concurrent use.
type Session struct {
	room *room
	conv Conversation
	sink Sink
	addr netip.Addr // of the client, see [Ask]

	// Under the room's lock.
	begun   *Conversation // with its context; nil once the client knows of the session
	last    int64         // the newest message that sink has
	pending []string      // the ids of sends without an answer, oldest first
	ready   bool          // sink takes messages
	unsure  bool          // the store has not been asked since the session began
	closed  bool
	typed   time.Time             // when the others were told last
	notice  *securesession.Notice // for when the client knows of the session; nil: nothing
}

// attach lets sink take part in c.
func (e *Engine) attach(c Conversation, after int64, sink Sink) (*Session, error) {
	e.mu.Lock()
	if e.drained != nil {
		e.mu.Unlock()
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "this node is going away", RetryAfter: retryBusy}
	}
	r := e.rooms[c.ID]
	if r == nil {
		r = &room{engine: e, id: c.ID, with: e.party(c.Bot), began: c.Created}
		e.rooms[c.ID] = r
	}
	r.refs++
	e.sessions++
	e.mu.Unlock()
	if e.c.Bus != nil {
		r.join.Do(func() { r.leave = e.c.Bus.Subscribe(subject(c.ID), r.hear) })
	}

	s := &Session{room: r, conv: c, sink: sink, begun: &c, last: c.LastSeq, unsure: true}
	s.conv.Context, s.conv.Owned = nil, nil // up to 10 KiB that few ask a session for
	if after >= 0 {
		s.last = min(after, c.LastSeq)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = max(r.stored, c.LastSeq)
	r.known = max(r.known, c.LastSeq)
	r.move(c.Moves)
	r.read = max(r.read, c.ReadSeq)
	r.saved = max(r.saved, c.ReadSeq)
	s.conv.ReadSeq = r.read
	r.sessions = append(r.sessions, s)
	return s, nil
}

// Conversation is as it was when the session began, without its context.
func (s *Session) Conversation() Conversation { return s.conv }

// Ready says that the sink takes messages: for the first time when the client knows
// of the session, and then whenever the sink's queue has run empty.
func (s *Session) Ready() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.ready, s.begun = true, nil
	if s.notice != nil && !s.closed {
		s.sink.Secure(*s.notice)
	}
	s.notice = nil
	if s.room.engine.draining.Load() && !s.closed {
		s.sink.Reconnect(rand.N(minSpread)) // it began too late to be told with the others
	}
	if s.conv.Moves < s.room.moves && !s.closed {
		s.sink.Moved() // it began too late to be told with the others
	}
	s.room.catchUp()
}

// Send brings a message into the conversation. The sink is told the outcome: Ack when
// it is committed, Nack when it is not. The body, which is JSON, must not change
// afterwards.
func (s *Session) Send(id string, body json.RawMessage) {
	refusal := checkSend(id, body)
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.closed {
		return
	}
	if refusal == nil {
		refusal = s.room.enqueue(s, Draft{ID: id, From: FromUser, Body: body})
	}
	if refusal != nil {
		s.sink.Nack(id, refusal)
	}
}

func checkSend(id string, body json.RawMessage) *fault.Error {
	switch {
	case !validID(id):
		return fault.BadField("id", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
	case len(body) == 0:
		return fault.BadField("body", "must be there")
	case len(body) > MaxBody:
		return &fault.Error{Kind: fault.TooLarge, Field: "body", Msg: fmt.Sprintf("must have at most %d bytes", MaxBody)}
	}
	return nil
}

func validID(id string) bool {
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return id != "" && len(id) <= MaxID
}

// typingEvery is how often a session's typing is passed on.
const typingEvery = 2 * time.Second

// Typing tells the conversation's other sessions that the user is typing.
func (s *Session) Typing() {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.engine.c.Clock()
	if s.closed || now.Sub(s.typed) < typingEvery && !now.Before(s.typed) {
		return
	}
	s.typed = now
	r.tell(s, func(k Sink) { k.Typing(FromUser) })
	r.typing = true
	r.work()
}

// Read notes that the user has read up to seq, and tells the other sessions. The
// mark never moves backwards, nor past what the session has been given.
func (s *Session) Read(seq int64) {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq = min(seq, s.last); s.closed || seq <= r.read {
		return
	}
	r.read = seq
	r.tell(s, func(k Sink) { k.Read(seq) })
	r.work()
}

// SetContext merges set, a JSON object, into the conversation's context and returns
// when that is committed, so that the turns of messages sent later have it. A member
// that is null goes. A set that touches what is the server's is fault.Denied; an error
// has changed nothing. Each counts as a send in Limits.Rate: over it, fault.Limited.
func (s *Session) SetContext(ctx context.Context, set json.RawMessage) error {
	if err := s.room.engine.pace(s.conv.User); err != nil {
		return err
	}
	return s.room.engine.setContext(ctx, s.conv.ID, set, Page)
}

// PageContext is the page's part of the context. Before the first [Session.Ready] it does
// not ask the store.
func (s *Session) PageContext(ctx context.Context) (json.RawMessage, error) {
	s.room.mu.Lock()
	begun := s.begun
	s.room.mu.Unlock()
	if begun == nil {
		c, err := s.room.engine.c.Store.FindConversation(ctx, s.conv.ID)
		if err != nil {
			return nil, err
		}
		begun = &c
	}
	return begun.PageContext()
}

// Last is the newest message that the sink has.
func (s *Session) Last() int64 {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	return s.last
}

// Close ends the session. What it has sent still gets its place. Calling it again
// does nothing.
func (s *Session) Close() {
	r := s.room
	r.mu.Lock()
	closed := s.closed
	s.closed = true
	r.sessions = slices.DeleteFunc(r.sessions, func(o *Session) bool { return o == s })
	r.mu.Unlock()
	if !closed {
		r.engine.detach(r)
	}
}

// detach lets go of a room that lost a session.
func (e *Engine) detach(r *room) {
	e.mu.Lock()
	r.refs--
	e.sessions--
	if e.drained != nil && e.sessions == 0 {
		close(e.drained)
	}
	e.mu.Unlock()
	e.vacate(r)
}

// vacate closes a room that nobody is in and that has nothing to do. While its mailbox
// works, who comes back finds it: a conversation has one mailbox of a node at a time.
func (e *Engine) vacate(r *room) {
	e.mu.Lock()
	last := r.refs == 0 && e.rooms[r.id] == r && !r.atWork()
	if last {
		delete(e.rooms, r.id)
	}
	e.mu.Unlock()
	if last && r.leave != nil {
		r.leave() // without a lock, since it waits for hear
	}
}

// take gives the sink the message that follows its last one. One of its own is
// acknowledged first, should the message have come by faster than the answer.
func (s *Session) take(m Message) {
	if m.From == FromUser {
		s.ack(m)
	}
	s.sink.Message(m)
	s.last = m.Seq
}

// ack answers the oldest pending send that became m, if there is one.
func (s *Session) ack(m Message) {
	if s.settle(m.ID) {
		s.sink.Ack(m.ID, m.Seq, m.At)
	}
}

// settle ends the wait of the oldest pending send of the id. It is false if none
// waits, or nobody is there to be told.
func (s *Session) settle(id string) bool {
	i := slices.Index(s.pending, id)
	if i < 0 || s.closed {
		return false
	}
	if s.pending = slices.Delete(s.pending, i, i+1); len(s.pending) == 0 {
		s.pending = nil
	}
	return true
}
