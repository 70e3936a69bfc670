package securesession

import "time"

// Machine decides about the messages of one conversation on one node. It keeps them in
// the order of their arrival and settles them in that order; at most one flight, which
// asks the store and then the authorizer, is under way. Numbers in its comments are the
// rows of the table in docs/secure-sessions.md. Not safe for concurrent use.
type Machine struct {
	rules  rules
	record Record    // the newest that this node knows
	queue  []waiting // without an answer; the first flight.waiters of them wait for the flight
	flight flight
	told   Standing
	// strikes: the last answer let nobody in, so calls are paced. due is the pace's.
	strikes bool
	due     time.Time
	flights uint64
	out     []Action
}

// waiting is a message that has no answer yet.
type waiting struct {
	Message
	arrived time.Time
}

// phase is how far a flight has come.
type phase uint8

const (
	idle    phase = iota
	leasing       // asks for the lease, and what other nodes have found
	calling
	saving
)

// flight is one question to the authorizer, from the lease to the saved answer.
type flight struct {
	id      uint64
	policy  *Policy // of the message that it began with, whatever is in force by now
	phase   phase
	print   Print
	waiters int
	begun   time.Time // when the lease was asked for first
	start   time.Time // when the authorizer was called: validity counts from here
	caller  uint64    // the message that it was called with
	prior   Record    // what was known then
	found   Record
	answer  Answer
}

// NewMachine returns a machine that knows nothing.
func NewMachine() *Machine { return &Machine{rules: written} }

// Idle tells whether nothing waits or is under way.
func (m *Machine) Idle() bool { return m.flight.phase == idle && len(m.queue) == 0 }

// Record is the newest that this node knows.
func (m *Machine) Record() Record { return m.record }

// Step takes an event and returns what is to be done, in that order. The slice is good
// until the next Step.
func (m *Machine) Step(now time.Time, e Event) []Action {
	m.out = m.out[:0]
	switch e := e.(type) {
	case Message:
		m.message(now, e)
	case Leave:
		m.leave(e)
	case Leased:
		if e.Flight == m.flight.id && m.flight.phase == leasing {
			m.leased(now, e)
		}
	case Answered:
		if e.Flight == m.flight.id && m.flight.phase == calling {
			m.answered(now, e.Answer)
		}
	case Saved:
		if e.Flight == m.flight.id && m.flight.phase == saving {
			m.saved(now, e)
		}
	case End:
		m.end()
	}
	return m.out
}

func (m *Machine) message(now time.Time, e Message) {
	w := waiting{e, now}
	switch {
	case e.Stopped: // 1
		m.block(w, NotRunning, ByLocal, 0)
	case m.flight.phase == idle:
		m.queue = append(m.queue, w)
		m.drain(now)
	case len(m.queue) >= e.Policy.MaxPending: // 8
		m.block(w, Busy, ByLocal, time.Second)
	default: // 7 or 9
		m.queue = append(m.queue, w)
		m.gather()
	}
}

// leave drops a message whose sender has gone. The flight goes on (18).
func (m *Machine) leave(e Leave) {
	for i, w := range m.queue {
		if w.ID == e.ID {
			m.queue = append(m.queue[:i], m.queue[i+1:]...)
			if i < m.flight.waiters {
				m.flight.waiters--
			}
			return
		}
	}
}

// drain settles messages in their order until one needs a flight.
func (m *Machine) drain(now time.Time) {
	for m.flight.phase == idle && len(m.queue) > 0 {
		w := m.queue[0]
		if m.settle(now, w) {
			m.pop()
			continue
		}
		if m.strikes && !m.paced(now) {
			m.pop()
			m.block(w, Busy, ByLocal, m.due.Sub(now))
			continue
		}
		m.flights++ // 6
		m.flight = flight{id: m.flights, policy: w.Policy, phase: leasing, print: w.Print, waiters: 1, begun: now}
		m.gather()
		m.do(Acquire{Flight: m.flight.id, Policy: w.Policy})
	}
}

// settle answers the message whose turn it is, if nobody needs to be asked.
func (m *Machine) settle(now time.Time, w waiting) bool {
	switch {
	case w.Missing: // 3
		m.missing(now, w)
	case m.rules.stands(m.record, w.Print, now): // 2
		m.pass(w, ByCache)
	case m.rules.refused(w.Policy, m.record, w.Print, now): // 15
		m.block(w, m.record.Reason, ByCache, 0)
	default:
		return false
	}
	return true
}

func (m *Machine) missing(now time.Time, w waiting) {
	if r := m.record; r.State != Denied || r.Print != w.Print || r.Reason != CredentialMissing {
		m.record = Record{
			State: Denied, Print: w.Print, Began: after(now, r.Began), At: now,
			Reason: CredentialMissing, Denials: r.Denials + 1,
		}
		m.do(Save{Record: m.record, Policy: w.Policy})
	}
	m.block(w, CredentialMissing, ByLocal, 0)
}

// gather lets the messages behind the flight's last waiter join it (7). The first that
// may not keeps all behind it waiting, so that the order of arrival stays (9).
func (m *Machine) gather() {
	f := &m.flight
	for f.waiters < len(m.queue) && m.rules.joins(f.policy, *f, m.queue[f.waiters]) {
		f.waiters++
	}
}

// leased goes on with what the store knows, which may be enough.
func (m *Machine) leased(now time.Time, e Leased) {
	f := &m.flight
	m.record = m.rules.known(f.policy, m.record, e, now) // 19, 20
	for f.waiters > 0 && m.settle(now, m.queue[0]) {
		m.pop()
	}
	switch {
	case f.waiters == 0:
		m.land(now, !e.Elsewhere)
	case !m.rules.leases(e): // 21: until the other node is done, or its lease lapses
		if now.Sub(f.begun) >= 2*f.policy.Lease() {
			m.blockWaiters(Busy, ByLocal, time.Second)
			m.land(now, false)
			return
		}
		m.do(Acquire{Flight: f.id, Policy: f.policy, After: pollLease})
	default:
		f.phase, f.start, f.prior, f.caller = calling, now, m.record, m.queue[0].ID
		m.do(Call{Flight: f.id, Message: f.caller})
	}
}

// pollLease is how often a node looks whether another one has its answer.
const pollLease = 50 * time.Millisecond

// answered finds what the answer means.
func (m *Machine) answered(now time.Time, a Answer) {
	f := &m.flight
	r := Record{Print: f.print, Began: after(f.start, f.prior.Began)}
	switch {
	case a.Class == Yes: // 10
		r.State, r.Until = Allowed, m.rules.until(f.policy, f.start, a)
	case a.Class == No: // 11, 13
		r.State, r.At, r.Reason, r.Denials = Denied, now, Unauthorized, f.prior.Denials+1
	case a.Class == Barred: // 4: what is known stays
		m.blockWaiters(Restricted, ByRestriction, a.RetryAfter)
		m.tell(Locked, Restricted, a.RetryAfter)
		m.land(now, true)
		return
	case m.rules.graced(f.policy, f.prior, *f, a, now): // 14: not extended
		for f.waiters > 0 {
			m.pass(m.pop(), ByGrace)
		}
		m.land(now, true)
		return
	case a.Class == Open: // 5: what is known stays
		m.blockWaiters(Unavailable, ByBreaker, a.RetryAfter)
		m.tell(Unverified, Unavailable, a.RetryAfter)
		m.land(now, true)
		return
	default: // 12
		r.State, r.At, r.Reason, r.Failures = Failed, now, Unavailable, f.prior.Failures+1
	}
	m.strikes = a.Class != Yes
	f.phase, f.found, f.answer = saving, r, a
	m.do(Save{Flight: f.id, Record: r, Policy: f.policy})
}

// saved settles the flight's messages by the answer, or all anew if another node's
// record is newer than it (21). What could not be saved counts on this node (20).
func (m *Machine) saved(now time.Time, e Saved) {
	f := &m.flight
	if m.rules.lost(e) {
		m.record = m.rules.known(f.policy, m.record, Leased{Record: e.Stands}, now)
		m.land(now, false)
		return
	}
	m.record = f.found
	switch f.found.State {
	case Allowed: // 10
		for f.waiters > 0 && m.rules.covers(*f, m.queue[0]) {
			m.pass(m.pop(), ByCall)
		}
	case Denied: // 11
		m.blockWaiters(Unauthorized, ByCall, 0)
		m.tell(Locked, Unauthorized, 0)
	default: // 12
		m.blockWaiters(Unavailable, ByCall, f.answer.RetryAfter)
		m.tell(Unverified, Unavailable, f.answer.RetryAfter)
	}
	m.land(now, false)
}

// land ends the flight, and gives the next message its turn. Saving a record gives the
// lease back, too.
func (m *Machine) land(now time.Time, release bool) {
	if release {
		m.do(Release{})
	}
	m.flight = flight{}
	m.drain(now)
}

// end forgets the conversation (22).
func (m *Machine) end() {
	for len(m.queue) > 0 {
		m.block(m.pop(), Unavailable, ByLocal, 0)
	}
	m.flight, m.record, m.told = flight{}, Record{}, ""
	m.do(Delete{})
}

func (m *Machine) pop() waiting {
	w := m.queue[0]
	if m.queue = m.queue[1:]; len(m.queue) == 0 {
		m.queue = nil
	}
	if m.flight.waiters > 0 {
		m.flight.waiters--
	}
	return w
}

func (m *Machine) pass(w waiting, by Source) {
	if m.told != Secured {
		m.tell(Secured, "", 0)
	}
	m.do(Pass{ID: w.ID, Source: by})
}

func (m *Machine) block(w waiting, why Reason, by Source, retry time.Duration) {
	m.do(Block{ID: w.ID, Reason: why, Source: by, RetryAfter: retry})
	if why == CredentialMissing || why == Unauthorized && by == ByCache {
		m.tell(Locked, why, 0)
	}
}

func (m *Machine) blockWaiters(why Reason, by Source, retry time.Duration) {
	for m.flight.waiters > 0 {
		m.block(m.pop(), why, by, retry)
	}
}

func (m *Machine) tell(s Standing, why Reason, retry time.Duration) {
	m.told = s
	m.do(Tell{Standing: s, Reason: why, RetryAfter: retry})
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// The pace of calls of one conversation while they bring no yes: burst at once, then one
// in each span.
const (
	paceEvery = time.Second
	paceBurst = 5
)

func (m *Machine) paced(now time.Time) bool {
	if m.due.Before(now) {
		m.due = now
	}
	due := m.due.Add(paceEvery)
	if due.Sub(now) > paceBurst*paceEvery {
		return false
	}
	m.due = due
	return true
}

// after is at, or a nanosecond after last if that is not before.
func after(at, last time.Time) time.Time {
	if last.Before(at) {
		return at
	}
	return last.Add(1)
}
