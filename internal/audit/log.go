package audit

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// store keeps entries for good.
type store interface {
	// AddEntries commits entries, all or none, and gives them ids in their order.
	AddEntries(ctx context.Context, entries []Entry) error
}

// Addresses says how much of clients' addresses is kept.
type Addresses string

// What may be kept of an address.
const (
	Full    Addresses = "full"
	Network Addresses = "network" // the first 24 bits of an IPv4 address, the first 48 of an IPv6 address
	None    Addresses = "none"
)

// Config requires Store.
type Config struct {
	Store     store
	Node      string
	Addresses Addresses // "": Full
	Tokens    bool      // note tokens that are issued, too
	Clock     func() time.Time
}

// flushEvery is how long a noted event waits for others.
const flushEvery = time.Second

// maxWaiting bounds the distinct events that wait to be written.
const maxWaiting = 1024

// Log writes the audit log. A nil Log writes nothing. Safe for concurrent use.
type Log struct {
	c Config

	mu      sync.Mutex
	observe func(Action, Outcome)
	waiting map[event]*noted
	dropped int64
}

// event is what events have in common that become one entry.
type event struct {
	actor   Actor
	action  Action
	object  string
	outcome Outcome
	address string
	details string
}

// noted is an entry to be written, for so many events.
type noted struct {
	Entry
	n int64
}

// New returns a log; events are written while [Log.Run] runs.
func New(c Config) *Log {
	c.Addresses = cmp.Or(c.Addresses, Full)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Log{c: c, observe: func(Action, Outcome) {}, waiting: map[event]*noted{}}
}

// Observe has f called for each entry that is written.
func (l *Log) Observe(f func(Action, Outcome)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observe = f
}

// Tokens tells whether issued tokens are to be noted.
func (l *Log) Tokens() bool { return l != nil && l.c.Tokens }

// Dropped is how many events were not written, because too many others waited.
func (l *Log) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Record writes e at once, with the address of a client if there was one. It does so though
// the caller may hang up: what e tells has happened, and the error says so.
func (l *Log) Record(ctx context.Context, e Entry, from netip.Addr) error {
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := l.write(ctx, l.finish(e, from)); err != nil {
		return fmt.Errorf("%s was done, and is missing in the audit log: %w", e.Action, err)
	}
	return nil
}

// Note has e written soon, with the address of a client if there was one. It does not wait.
func (l *Log) Note(e Entry, from netip.Addr) {
	if l == nil {
		return
	}
	e = l.finish(e, from)
	key := event{e.Actor, e.Action, e.Object, e.Outcome, e.Address, e.String()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if same := l.waiting[key]; same != nil {
		same.n++
		return
	}
	if len(l.waiting) >= maxWaiting {
		l.dropped++
		return
	}
	l.waiting[key] = &noted{e, 1}
}

// Run writes what is noted until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			l.flush(last)
			return nil
		case <-tick.C:
			l.flush(ctx)
		}
	}
}

// flush writes all that waits. What a store does not take waits on.
func (l *Log) flush(ctx context.Context) {
	l.mu.Lock()
	taken := l.waiting
	l.waiting = map[event]*noted{}
	l.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	entries := make([]Entry, 0, len(taken))
	for _, e := range taken {
		entries = append(entries, e.entry())
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.At.Compare(b.At) })
	if l.write(ctx, entries...) == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range taken {
		switch same := l.waiting[key]; {
		case same != nil:
			e.n += same.n
			l.waiting[key] = e
		case len(l.waiting) < maxWaiting:
			l.waiting[key] = e
		default:
			l.dropped += e.n
		}
	}
}

// entry tells how many events it stands for.
func (n *noted) entry() Entry {
	if n.n == 1 {
		return n.Entry
	}
	e := n.Entry
	e.Details = map[Detail]string{}
	for name, value := range n.Details {
		e.Details[name] = value
	}
	e.Details[Count] = strconv.FormatInt(n.n, 10)
	return e
}

// finish adds what is the log's to tell.
func (l *Log) finish(e Entry, from netip.Addr) Entry {
	e.At, e.Node, e.Address, e.Outcome = l.c.Clock(), l.c.Node, l.address(from), cmp.Or(e.Outcome, OK)
	return e.tidy()
}

func (l *Log) write(ctx context.Context, entries ...Entry) error {
	if err := l.c.Store.AddEntries(ctx, entries); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range entries {
		l.observe(entries[i].Action, entries[i].Outcome)
	}
	return nil
}

// address is as much of addr as is kept.
func (l *Log) address(addr netip.Addr) string {
	switch {
	case l.c.Addresses == None || !addr.IsValid():
		return ""
	case l.c.Addresses == Full:
		return addr.WithZone("").String()
	}
	bits := 24
	if addr = addr.Unmap(); addr.Is6() {
		bits = 48
	}
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked().String()
}

// OutcomeOf is how something ended that returned err.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OK
	}
	switch fault.KindOf(err) {
	case fault.Limited:
		return Limited
	case fault.Internal, fault.Unavailable:
		return Failed
	default:
		return Refused
	}
}
