package securesession

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"testing"
	"time"
)

// The model walks every order of events that a bounded world allows: two nodes with a
// machine each, a store with a record and a lease, an authorizer, one clock. What a
// machine wants done is done later, in its order, with any outcome.

// tick is the model's second.
const tick = time.Second

// bounds say how much may happen.
type bounds struct {
	messages, nodes, contexts, ticks      int
	crashes, storeFaults, leaves, endings int
	maxAges                               bool // answers may shorten the interval
	bare                                  bool // the second context lacks the credential
	classes                               []Class
}

// yes is a 200 that the authorizer gave.
type yes struct {
	inputs byte
	start  int // when it was called, in ticks
	end    int // when it answered
	good   int // ticks
	used   int // messages that it let in
}

type sent struct {
	inputs   byte
	node     int
	arrived  int
	answered bool
	gone     bool // its sender, or its node
}

type modelNode struct {
	m    *Machine
	ops  []Action
	call yes // of a Call at the head of ops
}

// world is one state.
type world struct {
	*model
	now     int
	context byte
	nodes   [2]modelNode
	sent    []sent
	said    []yes // 200s
	refused []yes // 4xx
	record  Record
	holder  int // node with the lease, -1: none
	lapse   int
	left    bounds
	faulty  bool // the store failed once
	path    []string
}

type model struct {
	policy *Policy
	rules  rules
	trace  bool
}

func at(ticks int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(ticks) * tick) }

func (w *world) clone() *world {
	c := *w
	for i := range c.nodes {
		m := *c.nodes[i].m
		m.queue = slices.Clone(m.queue)
		m.out = nil
		c.nodes[i].m = &m
		c.nodes[i].ops = slices.Clone(c.nodes[i].ops)
	}
	c.sent, c.said, c.refused = slices.Clone(c.sent), slices.Clone(c.said), slices.Clone(c.refused)
	if c.trace {
		c.path = slices.Clone(c.path)
	}
	return &c
}

func printOf(inputs byte) Print { return Print{Inputs: [32]byte{inputs}} }

// step gives a machine an event, and looks at what it does.
func (w *world) step(node int, e Event) error {
	n := &w.nodes[node]
	for _, a := range n.m.Step(at(w.now), e) {
		var err error
		switch a := a.(type) {
		case Pass:
			err = w.pass(node, a)
		case Block:
			err = w.block(node, a)
		case Call:
			n.ops = append(n.ops, a)
			n.call = yes{inputs: w.sent[a.Message].inputs, start: w.now}
			err = w.called(node)
		case Tell:
		default:
			n.ops = append(n.ops, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) answer(node int, id uint64) (*sent, error) {
	s := &w.sent[id]
	if s.answered || s.gone || s.node != node {
		return s, fmt.Errorf("message %d was answered twice, or by another node", id)
	}
	s.answered = true
	return s, nil
}

// pass holds the first invariant: a bot gets no message without a yes for the same inputs
// that began less than an interval before, and in the order of arrival.
func (w *world) pass(node int, p Pass) error {
	s, err := w.answer(node, p.ID)
	if err != nil {
		return err
	}
	for id, o := range w.sent {
		if id < int(p.ID) && o.node == node && !o.answered && !o.gone {
			return fmt.Errorf("message %d overtook %d", p.ID, id)
		}
	}
	proof := -1
	for i, y := range w.said {
		good := time.Duration(y.good) * tick
		if p.Source == ByGrace {
			good += w.policy.Grace
		}
		fresh := at(s.arrived).Before(at(y.start).Add(good)) || p.Source == ByCall && y.start >= s.arrived
		if y.inputs == s.inputs && fresh && (proof < 0 || y.start >= w.said[proof].start) {
			proof = i
		}
	}
	if proof < 0 {
		return fmt.Errorf("message %d passed by %s without a yes", p.ID, p.Source)
	}
	y := &w.said[proof]
	if r := w.record; p.Source == ByCall && !w.faulty && r.State == Denied && r.Print == printOf(s.inputs) && r.Began.After(at(y.start)) {
		return fmt.Errorf("message %d passed by a yes that came after a newer no", p.ID)
	}
	if y.used++; y.good == 0 && y.used > 1 {
		return fmt.Errorf("a yes for one message let in %d", y.used)
	}
	if p.Source == ByGrace && w.saidNoSince(*y) {
		return fmt.Errorf("message %d passed by grace after a no", p.ID)
	}
	return nil
}

// saidNoSince tells whether the authorizer refused the same inputs after a yes, as far as
// the store could tell.
func (w *world) saidNoSince(y yes) bool {
	return !w.faulty && slices.ContainsFunc(w.refused, func(n yes) bool {
		return n.inputs == y.inputs && n.start > y.start
	})
}

// block wants a no to rest on a refusal of the same inputs that is not older than it may be.
func (w *world) block(node int, b Block) error {
	s, err := w.answer(node, b.ID)
	if err != nil || b.Reason != Unauthorized {
		return err
	}
	for _, n := range w.refused {
		fits := n.start >= s.arrived || at(s.arrived).Before(at(n.start).Add(w.policy.Interval))
		if b.Source == ByCache {
			fits = at(w.now).Before(at(n.end).Add(w.policy.DenyInterval))
		}
		if n.inputs == s.inputs && fits {
			return nil
		}
	}
	return fmt.Errorf("message %d was refused by %s without a no", b.ID, b.Source)
}

// called wants no call that the store's record makes needless, and none beside another.
func (w *world) called(node int) error {
	c := w.nodes[node].call
	r := w.record
	if !w.faulty && r.State == Allowed && r.Print == printOf(c.inputs) && at(w.now).Before(r.Until) {
		return errors.New("a needless call")
	}
	for i := range w.nodes {
		o := &w.nodes[i]
		if i != node && len(o.ops) > 0 && !w.faulty {
			if _, ok := o.ops[0].(Call); ok && w.now < o.call.start+w.leaseTicks() {
				return errors.New("two calls at once")
			}
		}
	}
	return nil
}

func (w *world) leaseTicks() int { return int(w.policy.Lease() / tick) }

// moves are the worlds that may follow.
func (w *world) moves() ([]*world, error) {
	var next []*world
	var failed error
	try := func(name string, node int, f func(*world) error) {
		c := w.clone()
		if c.trace {
			c.path = append(c.path, fmt.Sprintf("%d: %s %d", w.now, name, node))
		}
		if err := f(c); err != nil && failed == nil {
			failed = fmt.Errorf("%w after %s", err, strings.Join(c.path, ", "))
		}
		next = append(next, c)
	}
	waits := false
	for i := range w.left.nodes {
		n := &w.nodes[i]
		if w.left.messages > 0 && (i == 0 || len(w.sent) > 0) { // the nodes are alike
			try("send", i, func(c *world) error { c.left.messages--; return c.send(i) })
		}
		if len(n.ops) > 0 {
			if a, ok := n.ops[0].(Acquire); ok && a.After > 0 && w.holder >= 0 && w.holder != i && w.now < w.lapse {
				waits = true // nothing new until the clock moves, or the other node does
			} else {
				w.outcomes(i, try)
			}
		}
		if w.left.crashes > 0 && w.left.nodes > 1 {
			try("crash", i, func(c *world) error { c.left.crashes--; c.crash(i); return nil })
		}
		if w.left.endings > 0 {
			try("end", i, func(c *world) error { c.left.endings--; return c.step(i, End{}) })
		}
		for id, s := range w.sent {
			if w.left.leaves > 0 && s.node == i && !s.answered && !s.gone {
				try("leave", i, func(c *world) error {
					c.left.leaves--
					c.sent[id].gone = true
					return c.step(i, Leave{uint64(id)})
				})
			}
		}
	}
	if w.left.contexts > 0 && w.left.messages > 0 && len(w.sent) > 0 {
		try("context", 0, func(c *world) error { c.left.contexts--; c.context = 3 - c.context; return nil })
	}
	if w.left.ticks > 0 && len(w.sent) > 0 || waits && len(next) == 0 {
		try("tick", 0, func(c *world) error { c.left.ticks--; c.now++; return nil })
	}
	if len(next) == 0 {
		return nil, w.finished()
	}
	return next, failed
}

// finished holds the second invariant: each message is answered exactly once.
func (w *world) finished() error {
	for id, s := range w.sent {
		if !s.answered && !s.gone {
			return fmt.Errorf("message %d has no answer after %s", id, strings.Join(w.path, ", "))
		}
	}
	return nil
}

func (w *world) send(node int) error {
	id := uint64(len(w.sent))
	w.sent = append(w.sent, sent{inputs: w.context, node: node, arrived: w.now})
	return w.step(node, Message{ID: id, Policy: w.policy, Print: printOf(w.context), Missing: w.left.bare && w.context == 2})
}

func (w *world) crash(node int) {
	w.nodes[node] = modelNode{m: w.machine()}
	for id := range w.sent {
		if s := &w.sent[id]; s.node == node && !s.answered {
			s.gone = true
		}
	}
}

func (w *model) machine() *Machine {
	m := NewMachine()
	m.rules = w.rules
	return m
}

// outcomes tries what may come of the action at the head of a node's queue.
func (w *world) outcomes(node int, try func(string, int, func(*world) error)) {
	take := func(c *world) { c.nodes[node].ops = c.nodes[node].ops[1:] }
	fault := func(e Event) {
		if w.left.storeFaults > 0 {
			try("store fails", node, func(c *world) error {
				c.left.storeFaults--
				c.faulty = true
				take(c)
				return c.step(node, e)
			})
		}
	}
	switch a := w.nodes[node].ops[0].(type) {
	case Acquire:
		try("acquire", node, func(c *world) error {
			take(c)
			elsewhere := c.holder >= 0 && c.holder != node && c.now < c.lapse
			if !elsewhere {
				c.holder, c.lapse = node, c.now+c.leaseTicks()
			}
			return c.step(node, Leased{Flight: a.Flight, Elsewhere: elsewhere, Record: c.record})
		})
		fault(Leased{Flight: a.Flight, Unread: true})
	case Call:
		for _, class := range w.left.classes {
			try(fmt.Sprint("answer ", class), node, func(c *world) error { return c.reply(node, a, class, int(c.policy.Interval/tick)) })
		}
		if w.left.maxAges {
			try("bounded yes", node, func(c *world) error { return c.reply(node, a, Yes, 0) })
		}
	case Save:
		try("save", node, func(c *world) error {
			take(c)
			e := Saved{Flight: a.Flight}
			if a.Record.Began.After(c.record.Began) {
				c.record = a.Record
			} else {
				e.Lost, e.Stands = true, c.record
			}
			if c.holder == node {
				c.holder = -1
			}
			return c.step(node, e)
		})
		fault(Saved{Flight: a.Flight})
	case Release, Delete:
		try("release", node, func(c *world) error {
			take(c)
			if c.holder == node {
				c.holder = -1
			}
			if _, ok := a.(Delete); ok {
				c.record = Record{}
			}
			return nil
		})
	}
}

func (w *world) reply(node int, a Call, class Class, good int) error {
	n := &w.nodes[node]
	n.ops = n.ops[1:]
	n.call.good, n.call.end = good, w.now
	switch class {
	case Yes:
		w.said = append(w.said, n.call)
	case No:
		w.refused = append(w.refused, n.call)
	}
	if len(w.said)+len(w.refused) > 16 {
		return errors.New("calls without end")
	}
	answer := Answer{Class: class, Bounded: class == Yes, MaxAge: time.Duration(good) * tick}
	return w.step(node, Answered{Flight: a.Flight, Answer: answer})
}

// explore walks all worlds, and returns how many there are and what is wrong first.
func explore(p *Policy, r rules, b bounds, trace bool) (int, error) {
	m := &model{policy: p, rules: r, trace: trace}
	first := &world{model: m, context: 1, holder: -1, left: b}
	for i := range first.nodes {
		first.nodes[i].m = m.machine()
	}
	seed := maphash.MakeSeed()
	seen := map[uint64]struct{}{}
	var buf []byte
	for stack := []*world{first}; len(stack) > 0; {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		buf = w.encode(buf[:0])
		h := maphash.Bytes(seed, buf)
		if _, ok := seen[h]; ok {
			continue
		}
		seen[h] = struct{}{}
		next, err := w.moves()
		if err != nil {
			return len(seen), err
		}
		stack = append(stack, next...)
	}
	return len(seen), nil
}

// encode writes all that makes a world unlike another.
func (w *world) encode(b []byte) []byte {
	put := func(ns ...int) {
		for _, n := range ns {
			b = binary.AppendVarint(b, int64(n))
		}
	}
	moment := func(t time.Time) {
		if t.IsZero() {
			put(-1)
			return
		}
		put(int(t.Sub(at(0))))
	}
	flag := func(f bool) {
		if f {
			put(1)
		} else {
			put(0)
		}
	}
	record := func(r Record) {
		put(int(r.State), int(r.Print.Inputs[0]))
		moment(r.Began)
		moment(r.Until)
		moment(r.At)
		b = append(b, r.Reason...)
	}
	l := w.left
	put(w.now, int(w.context), w.holder, w.lapse, l.messages, l.contexts, l.ticks, l.crashes, l.storeFaults, l.leaves, l.endings)
	flag(w.faulty)
	record(w.record)
	oldest := w.now
	for id, s := range w.sent {
		if !s.answered && !s.gone {
			put(id, int(s.inputs), s.node, s.arrived)
			oldest = min(oldest, s.arrived)
		}
	}
	for _, list := range [][]yes{w.said, w.refused} {
		put(-7)
		for _, y := range list {
			if at(oldest).Before(at(y.end).Add(w.policy.Interval + w.policy.Grace + w.policy.DenyInterval + tick)) {
				put(int(y.inputs), y.start, y.end, y.good, min(y.used, 1))
			}
		}
	}
	for i := range w.nodes[:l.nodes] {
		n := &w.nodes[i]
		put(-8, len(n.ops))
		for _, a := range n.ops {
			switch a := a.(type) {
			case Acquire:
				put(1, int(a.After))
			case Call:
				put(2, n.call.start, int(n.call.inputs))
			case Save:
				put(3)
				flag(a.Flight == 0)
				record(a.Record)
			case Release:
				put(4)
			case Delete:
				put(5)
			}
		}
		m := n.m
		put(len(m.queue), m.flight.waiters, int(m.flight.phase), int(m.flight.caller), int(m.flight.print.Inputs[0]))
		flag(m.strikes)
		moment(m.due)
		moment(m.flight.begun)
		moment(m.flight.start)
		for _, q := range m.queue {
			put(int(q.ID))
		}
		record(m.record)
		record(m.flight.prior)
		record(m.flight.found)
	}
	return b
}

// arena is a policy and what may happen under it.
type arena struct {
	name   string
	policy Policy
	bounds bounds
}

// arenas are sorted: small ones come first.
func arenas() []arena {
	all := []Class{Yes, No, Failure}
	return []arena{
		{
			"the end",
			Policy{Interval: 2 * tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 3, nodes: 1, ticks: 1, endings: 1, classes: []Class{Yes, No}},
		},
		{
			"no store",
			Policy{Interval: 2 * tick, Grace: tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 2, nodes: 2, ticks: 1, storeFaults: 1, classes: []Class{Yes, Failure}},
		},
		{
			"late answers",
			Policy{Interval: 4 * tick, MaxPending: 3},
			bounds{messages: 3, nodes: 2, ticks: 1, classes: []Class{Yes, No}},
		},
		{
			"a no that is kept",
			Policy{Interval: tick, DenyInterval: tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 3, nodes: 1, contexts: 1, ticks: 2, classes: []Class{Yes, No}},
		},
		{
			"grace on two nodes",
			Policy{Interval: tick, Grace: 2 * tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 3, nodes: 2, ticks: 1, classes: all},
		},
		{
			"no credential",
			Policy{Interval: 2 * tick, DenyInterval: tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 4, nodes: 1, contexts: 2, ticks: 2, bare: true, classes: []Class{Yes, No}},
		},
		{
			"in the queue",
			Policy{Interval: 2 * tick, Timeout: tick, MaxPending: 3, HonourMaxAge: true},
			bounds{messages: 3, nodes: 1, contexts: 1, ticks: 1, leaves: 1, maxAges: true, classes: []Class{Yes, No}},
		},
		{
			"every message",
			Policy{Timeout: tick, MaxPending: 3},
			bounds{messages: 3, nodes: 1, contexts: 1, ticks: 1, leaves: 1, classes: all},
		},
		{
			"grace",
			Policy{Interval: tick, Grace: tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 3, nodes: 1, contexts: 1, ticks: 2, classes: []Class{Yes, No, Failure, Misconfigured}},
		},
		{
			"two nodes",
			Policy{Interval: 2 * tick, Timeout: tick, MaxPending: 3},
			bounds{messages: 2, nodes: 2, contexts: 1, ticks: 2, crashes: 1, classes: []Class{Yes, No}},
		},
	}
}

func TestModel(t *testing.T) {
	t.Parallel()
	for _, a := range arenas() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			n, err := explore(&a.policy, written, a.bounds, false)
			if err != nil {
				_, err = explore(&a.policy, written, a.bounds, true) // once more, to say how
				t.Error(err)
			}
			t.Logf("%d states", n)
		})
	}
}
