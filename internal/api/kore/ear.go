package kore

import (
	"context"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/socket"
)

// maxSaid is how many messages one answer of the webhook mode has at the most. What is
// more comes with the next one.
const maxSaid = 64

// ear hears a conversation while a request of the webhook mode waits. It is the
// session's sink.
type ear struct {
	news chan struct{} // has room for one

	mu      sync.Mutex
	said    []chat.Message // by the bot or the system, in order
	last    int64          // the newest message of anybody's
	taken   int64          // the user's own, when it is committed
	refused *fault.Error   // or why it is not
	notice  string         // what the user is to see besides; "": nothing
	over    bool           // nothing more is to be heard here
}

var _ chat.Sink = (*ear)(nil)

func newEar() *ear { return &ear{news: make(chan struct{}, 1)} }

// hear changes what the ear knows, and says so to who waits.
func (e *ear) hear(change func()) {
	e.mu.Lock()
	change()
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// Message tells of the next message.
func (e *ear) Message(m chat.Message) {
	e.hear(func() {
		if len(e.said) == maxSaid {
			e.over = true
		}
		if e.over {
			return
		}
		if e.last = m.Seq; m.From != chat.FromUser {
			e.said = append(e.said, m)
		}
	})
}

// Ack tells that the user's message is committed.
func (e *ear) Ack(_ string, seq int64, _ time.Time) { e.hear(func() { e.taken = seq }) }

// Nack tells that it is not taken.
func (e *ear) Nack(_ string, refused *fault.Error) { e.hear(func() { e.refused = refused }) }

// Secure tells where the user stands.
func (e *ear) Secure(n securesession.Notice) { e.hear(func() { e.notice = plainNotice(n) }) }

// Moved and Reconnect end the waiting: the client comes back by itself.
func (e *ear) Moved()                  { e.leave() }
func (e *ear) Reconnect(time.Duration) { e.leave() }

// leave ends the waiting for what the bot says, and cut that for anything.
func (e *ear) leave() { e.hear(func() { e.over = true }) }
func (e *ear) cut()   { e.Nack("", late()) }

func late() *fault.Error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "the message could not be taken in time", RetryAfter: socket.RetryConnect}
}

// Typing, Delta and Read are nothing that an answer tells.
func (e *ear) Typing(chat.From)     {}
func (e *ear) Delta(string, string) {}
func (e *ear) Read(int64)           {}

// Free is how many messages an answer still has room for.
func (e *ear) Free() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return 0
	}
	return maxSaid - len(e.said)
}

// wait returns when enough, which is asked with the lock held, or the ear's time is over.
func (e *ear) wait(ctx context.Context, most time.Duration, enough func() bool) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		e.mu.Lock()
		done := enough()
		e.mu.Unlock()
		if done {
			return
		}
		select {
		case <-e.news:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// answered tells whether the bot spoke after the user. The ear is locked.
func (e *ear) answered() bool {
	return e.taken != 0 && len(e.said) > 0 && e.said[len(e.said)-1].Seq > e.taken
}

// heard is what the bot said, and the newest message that is known to the client then.
func (e *ear) heard() (said []chat.Message, upTo int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if upTo = e.taken; len(e.said) > 0 {
		upTo = max(upTo, e.said[len(e.said)-1].Seq)
	}
	return e.said, upTo
}
