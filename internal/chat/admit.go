package chat

import (
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

const (
	// retryBusy is the wait that is recommended to who is refused for want of room.
	retryBusy = time.Second
	// commitWithin is how long a message waits for its commit: less than the lease of the
	// worker that was hired for it.
	commitWithin = 5 * time.Second
)

// busy refuses what comes when there is too much.
func busy(msg string) *fault.Error {
	return &fault.Error{Kind: fault.Unavailable, Code: "busy", Msg: msg, RetryAfter: retryBusy}
}

// errEnded refuses what is said in a conversation that is over.
var errEnded = &fault.Error{
	Kind: fault.Conflict, Code: "conversation_ended", RetryAfter: retryBusy,
	Msg: "the conversation has ended: connect again to begin the next",
}

// errGone refuses what is said to a bot that is not there any more, as a gate does where
// one is paused.
var errGone = &fault.Error{
	Kind: fault.Unavailable, Code: string(securesession.NotRunning), Err: securesession.NotRunning, Msg: "the bot takes no messages",
}

// send is a message on its way into the order.
type send struct {
	session *Session
	draft   Draft
}

// size is what a send counts for in Limits.Queue.
func (s send) size() int64 { return int64(len(s.draft.Body)+len(s.draft.ID)) + 256 }

// refusal is why a send may not wait for its commit; nil if it may, and then it counts
// until it is released. Nothing here asks the store or waits. The room is locked.
func (r *room) refusal(s send) *fault.Error {
	e, with, user := r.engine, r.with, s.session.conv.User
	terms := with.now()
	if len(s.session.pending) >= e.c.Limits.Window {
		return &fault.Error{Kind: fault.Limited, Msg: "too many messages are on the way", RetryAfter: retryBusy}
	}
	r.hold(s, 1)
	now, why := e.c.Clock(), (*fault.Error)(nil)
	switch {
	case e.queued.Load() > e.c.Limits.Queue || e.sends.Load() > e.c.Limits.Sends:
		why = busy("too many messages wait")
	case !terms.gone && with.sends.Load()+with.owed.Load() > int64(terms.Waiting):
		why = busy("the bot has too many messages to answer")
	default:
		if limited := e.pace(user); limited != nil {
			why = limited
		} else if ok, wait := terms.rate.Allow("", now); !ok {
			why = busy("the bot has too many messages to answer")
			why.RetryAfter = wait
		}
	}
	if why != nil {
		r.hold(s, -1)
	}
	return why
}

// hold counts a send in, or with -1 out.
func (r *room) hold(s send, sign int64) {
	r.engine.queued.Add(sign * s.size())
	r.engine.sends.Add(sign)
	r.with.sends.Add(sign)
}

func (r *room) release(batch []send) {
	for _, s := range batch {
		r.hold(s, -1)
	}
}

// choosy tells whether each message is decided on by itself.
func (r *room) choosy() bool {
	return r.with.now().gone || r.engine.guards(r.with.bot) || r.with.ended(r.began, r.engine.c.Clock())
}

// pace counts a message, or another commit, that a user causes.
func (e *Engine) pace(u User) *fault.Error {
	if ok, wait := e.rate.Allow(u.Issuer+"\x00"+u.Subject, e.c.Clock()); !ok {
		return &fault.Error{Kind: fault.Limited, Msg: "too many messages", RetryAfter: wait}
	}
	return nil
}

// welcome refuses to begin a conversation, which the bot would have to welcome, while half
// of what may wait for it does: the rest is for those who talk already.
func (p *party) welcome() error {
	if p.owed.Load() > int64(p.now().Waiting)/2 {
		return busy("the bot has too many messages to answer")
	}
	return nil
}
