package securesession

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/crew"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/trace"
)

// Authorizer says whether a user may go on. Safe for concurrent use.
type Authorizer interface {
	// Read returns what Check reads of a context, and whether it lacks something that
	// Check needs.
	Read(object json.RawMessage) (in Inputs, missing bool)
	// Check asks. It returns when ctx ends at the latest.
	Check(ctx context.Context, k Key, s Subject) Answer
	// Revision changes with all but the context that an answer may depend on. It may have
	// digests of secrets in it.
	Revision() string
	// Learn finds what Revision depends on, so that this does not change with the first Check.
	Learn(ctx context.Context)
}

// Subject is who the authorizer is asked about.
type Subject struct {
	Identity string            // whose conversation it is: what was found for another one does not count
	Context  json.RawMessage   // of the conversation
	Actor    map[string]string // who it is, in the words of restriction groups
}

// Guard is what stands before one bot.
type Guard struct {
	Policy     *Policy
	Authorizer Authorizer
	Stopped    bool // the bot takes no messages
}

// Ask is a message that wants to pass.
type Ask struct {
	Key     Key
	Message string // its id, for the audit
	Subject
}

// Notice shows a conversation's user where they stand.
type Notice struct {
	Standing   Standing
	Reason     Reason
	Message    string // text, or markup if it begins so; not to be stored
	RetryAfter time.Duration
}

// Decision is what became of a message, for metrics and for the audit.
type Decision struct {
	Key     Key
	Message string
	Reason  Reason // empty: it passed
	Source  Source
	At      time.Time
	Trace   string // in which it was made; empty: in none
}

// records is the part of the store that nodes share decisions through.
type records interface {
	// LeaseSecureSession gives the holder the lease of k until a time, and is false while
	// another holder has it.
	LeaseSecureSession(ctx context.Context, k Key, holder string, now, until time.Time) (bool, error)
	// SecureSession is the zero Record if there is none that has not expired.
	SecureSession(ctx context.Context, k Key, now time.Time) (Record, error)
	// SaveSecureSession keeps r until it expires, unless the record that is there did not
	// begin before it; it returns the one that stands. The holder's lease ends.
	SaveSecureSession(ctx context.Context, k Key, holder string, r Record, expires time.Time) (Record, error)
	ReleaseSecureSession(ctx context.Context, k Key, holder string) error
	// DeleteSecureSession removes the record and the lease.
	DeleteSecureSession(ctx context.Context, k Key) error
	DeleteExpiredSecureSessions(ctx context.Context, before time.Time) (int, error)
}

// observer is told what the gate does. It must not block, nor call the gate.
type observer interface {
	Decided(d Decision)
	// Called tells of a call of the authorizer that the bot's policy names.
	Called(alias, detail string, took time.Duration)
}

// Config requires Store, Key, Node and Guard; every other zero value has a default.
type Config struct {
	Store records
	Key   secret.Bytes // of fingerprints; the same on all nodes
	Node  string       // unlike that of any other node
	// Guard is what stands before a bot; nil: its messages pass.
	Guard func(bot string) *Guard
	// Merge puts what an authorizer's answer says into a conversation's context, as the
	// server's own. Default: it is dropped.
	Merge func(ctx context.Context, conversation string, set json.RawMessage) error
	// Notify is called with a lock held: it must neither block nor call the gate.
	Notify   func(conversation string, n Notice)
	Observer observer
	Sessions int           // conversations in memory; default 65,536
	Sweep    time.Duration // how often what has expired is forgotten; default 1 minute
	Clock    func() time.Time
	Log      *slog.Logger
}

// Gate lets messages of secured bots pass, or blocks them. Safe for concurrent use.
type Gate struct {
	c    Config
	crew crew.Crew

	mu       sync.Mutex
	sessions map[Key]*session
}

// New returns a gate that has answers while Run runs.
func New(c Config) (*Gate, error) {
	if c.Store == nil || c.Key.Len() == 0 || c.Node == "" || c.Guard == nil {
		return nil, errors.New("secure session: store, key, node and guard are required")
	}
	if c.Merge == nil {
		c.Merge = func(context.Context, string, json.RawMessage) error { return nil }
	}
	if c.Notify == nil {
		c.Notify = func(string, Notice) {}
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Sessions == 0 {
		c.Sessions = 1 << 16
	}
	if c.Sweep == 0 {
		c.Sweep = time.Minute
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Gate{c: c, sessions: map[Key]*session{}}, nil
}

type nobody struct{}

func (nobody) Decided(Decision)                     {}
func (nobody) Called(string, string, time.Duration) {}

// Run asks authorizers until ctx ends, and returns nil when no question is under way any
// more. Messages that have no answer by then get [fault.Unavailable].
func (g *Gate) Run(ctx context.Context) error {
	g.crew.Enlist(ctx)
	defer g.abandon()
	defer g.crew.Dismiss()
	tick := time.NewTicker(g.c.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			g.sweep(ctx)
		}
	}
}

// Admit returns nil to let a message pass, when it is its turn. A [fault.Error] says why
// it is blocked, with a [Reason] in its chain. A ctx that ends takes the message back.
func (g *Gate) Admit(ctx context.Context, a Ask) error { return g.Enter(ctx, a).Wait(ctx) }

// Guards tells whether anything stands before a bot.
func (g *Gate) Guards(bot string) bool { return g.c.Guard(bot) != nil }

// Enter queues a message and returns at once: the messages of a conversation are settled
// in the order in which they entered. The decision is a part of the trace that ctx is in.
func (g *Gate) Enter(ctx context.Context, a Ask) *Ticket {
	t := &Ticket{ask: a, verdict: make(chan error, 1)}
	guard := g.c.Guard(a.Key.Bot)
	if guard == nil {
		t.verdict <- nil
		return t
	}
	ctx, t.span = trace.Start(ctx, "secure session")
	t.cause = trace.CauseOf(ctx)
	g.session(a.Key).enter(guard, t)
	return t
}

// Surface is what a user wants to see besides sending messages.
type Surface uint8

// The surfaces that a policy may protect.
const (
	History Surface = iota
	Resume
)

// Protect is [Gate.Admit] for who wants to see something, if the policy protects it.
func (g *Gate) Protect(ctx context.Context, a Ask, what Surface) error {
	guard := g.c.Guard(a.Key.Bot)
	if guard == nil || what == History && !guard.Policy.History || what == Resume && !guard.Policy.Resume {
		return nil
	}
	return g.Admit(ctx, a)
}

// Forget is called when a conversation has ended.
func (g *Gate) Forget(k Key) {
	if g.Guards(k.Bot) {
		g.session(k).forget()
	}
}

// session is the one in memory, or a new one.
func (g *Gate) session(k Key) *session {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[k]
	if s == nil {
		if len(g.sessions) >= g.c.Sessions {
			g.makeRoom()
		}
		s = &session{gate: g, key: k, machine: NewMachine(), tickets: map[uint64]*Ticket{}}
		g.sessions[k] = s
	}
	s.claims++
	return s
}

// makeRoom forgets a conversation for which nothing is under way, of some that it looks
// at: what was decided is in the store.
func (g *Gate) makeRoom() {
	looked := 0
	for k, s := range g.sessions {
		if s.claims == 0 && s.idle() {
			delete(g.sessions, k)
			return
		}
		if looked++; looked == 64 {
			return
		}
	}
}

// sweep forgets what has expired.
func (g *Gate) sweep(ctx context.Context) {
	now := g.c.Clock()
	g.mu.Lock()
	for k, s := range g.sessions {
		if s.claims == 0 && s.stale(now) {
			delete(g.sessions, k)
		}
	}
	g.mu.Unlock()
	if _, err := g.c.Store.DeleteExpiredSecureSessions(ctx, now); err != nil && ctx.Err() == nil {
		g.c.Log.LogAttrs(ctx, slog.LevelWarn, "expired secure sessions stay", slog.Any("err", err))
	}
}

// abandon answers who still waits when the node stops.
func (g *Gate) abandon() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		s.abandon()
	}
	clear(g.sessions)
}
