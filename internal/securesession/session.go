package securesession

import (
	"context"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/trace"
)

// session does for one conversation what its machine wants.
type session struct {
	gate   *Gate
	key    Key
	claims int // who is about to use it, under the gate's lock

	mu      sync.Mutex
	machine *Machine
	tickets map[uint64]*Ticket // of messages without an answer
	last    uint64
	ops     []op
	working bool
	guard   *Guard // of the last message
	used    time.Time

	// The print of the last subject, since most messages come with the same one.
	of       [32]byte // its sum; zero: none yet
	revision string   // of the authorizer
	print    Print
	missing  bool
}

// op is an action that takes time.
type op struct {
	action  Action
	guard   *Guard  // of a Call: what stood before the bot when its message came
	subject Subject // likewise
	cause   trace.Cause
}

// Ticket is a message's place in the queue.
type Ticket struct {
	ask     Ask
	guard   *Guard
	session *session // nil: there is nothing to leave
	id      uint64
	verdict chan error
	span    trace.Span
	cause   trace.Cause // the same, for what the decision takes
}

// Decided tells whether [Ticket.Wait] has the verdict at once.
func (t *Ticket) Decided() bool { return len(t.verdict) > 0 }

// Wait returns the verdict; see [Gate.Admit]. It is called once.
func (t *Ticket) Wait(ctx context.Context) error {
	select {
	case err := <-t.verdict:
		return err
	default:
	}
	select {
	case err := <-t.verdict:
		return err
	case <-ctx.Done():
		if t.session != nil {
			t.session.leave(t)
		}
		return ctx.Err()
	}
}

// enter gives a message to the machine.
func (s *session) enter(guard *Guard, t *Ticket) {
	s.mu.Lock()
	defer s.release()
	s.last++
	t.guard, t.session, t.id = guard, s, s.last
	s.tickets[t.id] = t
	m := Message{ID: t.id, Policy: guard.Policy, Stopped: guard.Stopped}
	if !m.Stopped {
		m.Print, m.Missing = s.look(guard, t.ask.Subject)
	}
	s.step(m)
}

// release ends what [Gate.session] began, and unlocks.
func (s *session) release() {
	s.mu.Unlock()
	s.gate.mu.Lock()
	s.claims--
	s.gate.mu.Unlock()
}

// look is the print of a subject under guard, and whether its context lacks something.
func (s *session) look(guard *Guard, a Subject) (Print, bool) {
	of, revision := a.sum(), guard.Authorizer.Revision()
	if of != s.of || guard != s.guard || revision != s.revision {
		in, missing := guard.Authorizer.Read(a.Context)
		key := s.gate.c.Key
		s.print = Print{Inputs: fingerprint(key, a.Identity, in), Revision: guard.Policy.Revision(key, revision)}
		s.of, s.guard, s.revision, s.missing = of, guard, revision, missing
	}
	return s.print, s.missing
}

func (s *session) leave(t *Ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tickets[t.id] == t {
		delete(s.tickets, t.id)
		t.span.End()
		s.step(Leave{t.id})
	}
}

func (s *session) forget() {
	s.mu.Lock()
	defer s.release()
	s.step(End{})
}

// abandon is stop for who does not hold the lock.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

// idle tells whether nothing is under way.
func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet()
}

func (s *session) quiet() bool { return s.machine.Idle() && !s.working }

// stale tells whether nothing is under way, and what is known is of no use any more.
func (s *session) stale(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet() && (s.guard == nil || now.After(s.used.Add(s.guard.Policy.Keep())))
}

// step gives the machine an event and does what it wants. The session is locked.
func (s *session) step(e Event) {
	now := s.gate.c.Clock()
	s.used = now
	actions := s.machine.Step(now, e)
	for _, a := range actions { // what becomes of the session is told before what becomes of its messages
		if a, ok := a.(Tell); ok {
			s.gate.c.Notify(s.key.Conversation, s.guard.notice(s.key, a))
		}
	}
	for _, a := range actions {
		switch a := a.(type) {
		case Pass:
			s.settle(a.ID, Decision{Source: a.Source, At: now}, nil)
		case Block:
			s.settle(a.ID, Decision{Reason: a.Reason, Source: a.Source, At: now}, refusalOf(a.Reason, a.RetryAfter))
		case Tell:
		case Call:
			t := s.tickets[a.Message]
			s.ops = append(s.ops, op{a, t.guard, t.ask.Subject, t.cause})
		default:
			s.ops = append(s.ops, op{action: a})
		}
	}
	if len(s.ops) > 0 && !s.working {
		if s.working = s.gate.crew.Start(s.work); !s.working {
			s.stop()
		}
	}
}

// stop answers who waits, since nothing runs that would, and begins anew.
func (s *session) stop() {
	for id, t := range s.tickets {
		t.end(Decision{Key: s.key, Reason: Unavailable})
		t.verdict <- refusalOf(Unavailable, time.Second)
		delete(s.tickets, id)
	}
	s.ops, s.machine = nil, NewMachine()
}

func (s *session) settle(id uint64, d Decision, refusal error) {
	t := s.tickets[id]
	delete(s.tickets, id)
	d.Key, d.Message, d.Trace = s.key, t.ask.Message, trace.ID(t.cause)
	s.gate.c.Observer.Decided(d)
	t.end(d)
	t.verdict <- refusal
}

// end says in the message's trace what was decided.
func (t *Ticket) end(d Decision) {
	t.span.Set("carnet.bot", d.Key.Bot)
	t.span.Set("carnet.result", d.Reason.Result())
	t.span.Set("carnet.source", string(d.Source))
	t.span.Set("carnet.reason", string(d.Reason))
	t.span.End()
}

// The texts that a user is shown if the configuration has none.
const (
	signIn   = "You need to sign in to continue."
	tryLater = "We can't verify your session right now. Please try again."
	waitABit = "Too many attempts. Please wait a while."
)

// notice is what the user sees. The configured text is for who has no valid session: a
// failure of ours does not ask anybody to sign in.
func (p *Policy) notice(t Tell) Notice {
	n := Notice{Standing: t.Standing, Reason: t.Reason, RetryAfter: t.RetryAfter}
	switch {
	case t.Standing == Unverified:
		n.Message = tryLater
	case t.Reason == Restricted:
		n.Message = waitABit
	case t.Standing == Locked && p.Message != "":
		n.Message = p.Message
	case t.Standing == Locked:
		n.Message = signIn
	}
	return n
}
