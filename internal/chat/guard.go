package chat

import (
	"context"
	"sync"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// guards tells whether a gate decides on the messages to a bot.
func (e *Engine) guards(b bot.ID) bool { return e.c.Gate != nil && e.c.Gate.Guards(b) }

// decide brings in what the gate lets in of a batch, in its order. What was let in does
// not wait while the gate ponders the next.
func (r *room) decide(ctx context.Context, batch []send) {
	verdicts := r.enter(ctx, batch)
	var admitted []send
	for i, s := range batch {
		if len(admitted) > 0 && !verdicts[i].Decided() {
			r.commit(ctx, admitted)
			admitted = nil
		}
		if err := verdicts[i].Wait(ctx); err != nil {
			r.refuse(ctx, batch[i:i+1], err)
			continue
		}
		admitted = append(admitted, s)
	}
	if len(admitted) > 0 {
		r.commit(ctx, admitted)
	}
}

// enter asks about each message of a batch. One that was committed before is let through
// whatever there is against it by now: the store has it, and who sent it again has missed
// the answer.
func (r *room) enter(ctx context.Context, batch []send) []Verdict {
	e := r.engine
	now := sync.OnceValues(func() (Conversation, error) { return e.c.Store.FindConversation(ctx, r.id) })
	verdicts := make([]Verdict, len(batch))
	for i, s := range batch {
		_, err := e.c.Store.FindMessage(ctx, r.id, s.draft.ID)
		switch {
		case fault.KindOf(err) != fault.NotFound:
			verdicts[i] = settled{err}
		case r.with.now().gone:
			verdicts[i] = settled{errGone}
		case r.with.ended(r.began, e.c.Clock()):
			e.forget(r.with.bot, r.id)
			verdicts[i] = settled{errEnded}
		case !e.guards(r.with.bot): // any more
			verdicts[i] = settled{}
		default:
			c, err := now()
			if err != nil {
				verdicts[i] = settled{err}
				continue
			}
			verdicts[i] = e.c.Gate.Enter(ctx, Ask{Conversation: &c, Message: s.draft.ID, Addr: s.session.addr})
		}
	}
	return verdicts
}

// settled is a verdict that no gate had to find.
type settled struct{ err error }

func (settled) Decided() bool                { return true }
func (s settled) Wait(context.Context) error { return s.err }

// forget has the gate forget a conversation that has ended.
func (e *Engine) forget(b bot.ID, id ID) {
	if e.guards(b) {
		e.c.Gate.Forget(b, id)
	}
}

// LockedError says that a user may not go on with a conversation as things are. It wraps
// a [fault.Error].
type LockedError struct {
	Notice securesession.Notice // what the user is shown; the zero Notice: nothing
	Err    error
}

func (e *LockedError) Error() string { return e.Err.Error() }

// Unwrap returns the refusal.
func (e *LockedError) Unwrap() error { return e.Err }

// protect refuses who may not see something of a conversation now.
func (e *Engine) protect(ctx context.Context, a Ask, s securesession.Surface) error {
	if !e.guards(a.Bot) {
		return nil
	}
	err := e.c.Gate.Protect(ctx, a, s)
	if err == nil {
		return nil
	}
	notice, _ := e.c.Gate.Standing(ctx, a)
	return &LockedError{notice, err}
}

// Secure tells the sessions of a conversation, on all nodes, where its user stands. It
// does not block.
func (e *Engine) Secure(id ID, n securesession.Notice) {
	if r := e.room(id); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.secure(n)
		r.notice = &n
		r.work()
		return
	}
	e.crew.Start(func(ctx context.Context) { e.publish(ctx, id, event{Secure: (*notice)(&n)}) })
}

// secure tells each session, or notes it for one whose client knows of no session yet.
func (r *room) secure(n securesession.Notice) {
	for _, s := range r.sessions {
		if s.ready {
			s.sink.Secure(n)
		} else {
			s.notice = &n
		}
	}
}

// show tells a session that begins what its user's standing is, unless there is news of
// that already.
func (s *Session) show(n securesession.Notice) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if !s.ready && s.notice == nil {
		s.notice = &n
	}
}
