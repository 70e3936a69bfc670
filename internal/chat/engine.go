package chat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/crew"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/securesession"
)

// Config requires Store; every other zero value has a default.
type Config struct {
	Store store
	Bus   bus               // to the other nodes; nil: there are none
	Bots  map[bot.ID]Policy // whom there is to talk to, until [Engine.Use]
	Gate  Gate              // nil: every message may pass
	Node  string            // unlike that of any other node; default: random

	// Hire keeps a worker of the bot free for a turn that is about to be committed, or
	// returns nil. Wake is called after a commit that may have left a turn to be leased.
	// The default of both leaves turns to other nodes.
	Hire func(bot.ID) *bot.Worker
	Wake func(bot.ID)

	Limits Limits
	Sweep  time.Duration // how often the store is asked for what the bus has lost; default 3 s
	Clock  func() time.Time
	Log    *slog.Logger
}

// Limits bounds what may be on the way. What is over is refused, never queued.
type Limits struct {
	Window int        // sends of one session that have no answer yet; default 32
	Rate   limit.Rate // sends of one user; zero: no limit
	Users  int        // whom Rate counts one by one at a time; default 65,536
	Queue  int64      // bytes of messages that wait for their commit, of all sessions; default 64 MiB
	Sends  int64      // how many messages those may be; default 8192
}

// Engine carries the conversations that have a session on this node. Safe for
// concurrent use.
type Engine struct {
	c      Config
	rate   *limit.Limiter
	queued atomic.Int64 // bytes, see Limits.Queue
	sends  atomic.Int64 // messages, see Limits.Sends
	crew   crew.Crew
	ours   []byte // what this node's events begin with

	parties sync.Map // bot.ID → *party

	births *stripes // by user and bot: of two first sessions one makes the conversation

	storeTrouble, busTrouble trouble

	mu       sync.Mutex
	rooms    map[ID]*room // those with a session, or with work to do
	sessions int
	drained  chan struct{} // nil before Drain; closed when the last session has gone
	draining atomic.Bool
}

// New returns an engine that opens sessions at once, and takes messages while Run runs.
func New(c Config) (*Engine, error) {
	if c.Store == nil {
		return nil, errors.New("chat: store is required")
	}
	if c.Hire == nil {
		c.Hire = func(bot.ID) *bot.Worker { return nil }
	}
	if c.Wake == nil {
		c.Wake = func(bot.ID) {}
	}
	if c.Node == "" {
		c.Node = rand.Text()
	}
	if c.Limits.Window == 0 {
		c.Limits.Window = 32
	}
	if c.Limits.Users == 0 {
		c.Limits.Users = 1 << 16
	}
	if c.Limits.Queue == 0 {
		c.Limits.Queue = 64 << 20
	}
	if c.Limits.Sends == 0 {
		c.Limits.Sends = 8192
	}
	if c.Sweep == 0 {
		c.Sweep = 3 * time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	e := &Engine{
		c:            c,
		ours:         beginning(c.Node),
		rate:         limit.New(c.Limits.Rate, c.Limits.Users),
		births:       newStripes(),
		storeTrouble: trouble{log: c.Log, what: "chat store"},
		busTrouble:   trouble{log: c.Log, what: "chat bus"},
		rooms:        map[ID]*room{},
	}
	e.Use(c.Bots)
	return e, nil
}

// Run carries messages until ctx ends and returns nil when nothing is on the way any
// more. Messages that had no place in the order by then are dropped without an
// answer: their clients send them again when they resume.
func (e *Engine) Run(ctx context.Context) error {
	e.crew.Enlist(ctx)
	defer e.crew.Dismiss()
	e.crew.Start(e.watch)
	e.count(ctx)
	tick := time.NewTicker(e.c.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.sweep(ctx)
			e.count(ctx)
		}
	}
}

// Open opens a session for s, which is told nothing before [Session.Ready].
// A conversation of another user is not found, like one that does not exist.
func (e *Engine) Open(ctx context.Context, h Hello, s Sink) (*Session, error) {
	c, err := e.conversation(ctx, h)
	if err != nil {
		return nil, err
	}
	if len(h.Context) > 0 {
		if err := e.mergeContext(ctx, &c, h.Context, Greeting); err != nil {
			return nil, err
		}
	}
	if h.Conversation != "" && h.Conversation != c.ID {
		h.After = FromNow // it counted in a conversation that has ended
	}
	if c.LastSeq > 0 { // there is something to see
		if err := e.protect(ctx, Ask{Conversation: &c, Addr: h.Addr}, securesession.Resume); err != nil {
			return nil, err
		}
	}
	session, err := e.attach(c, h.After, s)
	if err != nil {
		return nil, err
	}
	session.addr = h.Addr
	e.greet(ctx, session, &c)
	return session, nil
}

// greet does what is to be done before the client knows of a session.
func (e *Engine) greet(ctx context.Context, s *Session, c *Conversation) {
	if s.room.with.now().Hooks {
		e.saw(ctx, c.ID)
	}
	if e.guards(c.Bot) {
		if n, ok := e.c.Gate.Standing(ctx, Ask{Conversation: c, Addr: s.addr}); ok {
			s.show(n)
		}
	}
}

// conversation is the one that h is about, a new one if need be.
func (e *Engine) conversation(ctx context.Context, h Hello) (Conversation, error) {
	if !e.Knows(h.Bot) {
		return Conversation{}, &fault.Error{Kind: fault.NotFound, Field: "bot", Msg: "there is no such bot"}
	}
	if h.Conversation != "" {
		c, err := e.own(ctx, h.User, h.Conversation)
		if err == nil && c.Bot != h.Bot {
			err = fault.BadField("bot", "must be the one that the conversation is with")
		}
		ended := err == nil && e.party(c.Bot).ended(c.Created, e.now())
		if !ended && (h.Past == nil || fault.KindOf(err) != fault.NotFound) {
			return c, err
		}
	}
	if h.New {
		return e.begin(ctx, h, e.add)
	}
	c, err := e.Current(ctx, h.User, h.Bot)
	if fault.KindOf(err) != fault.NotFound {
		return c, err
	}
	unlock, err := e.births.lock(ctx, h.User.Issuer+"\x00"+h.User.Subject+"\x00"+string(h.Bot))
	if err != nil {
		return Conversation{}, err
	}
	defer unlock()
	last, err := e.c.Store.CurrentConversation(ctx, h.User, h.Bot)
	switch {
	case fault.KindOf(err) == fault.NotFound:
	case err != nil || !e.party(h.Bot).ended(last.Created, e.now()):
		return last, err
	default:
		e.forget(h.Bot, last.ID)
	}
	return e.begin(ctx, h, func(ctx context.Context, c Conversation) (Conversation, error) {
		return e.c.Store.NextConversation(ctx, c, last.ID) // another node may be as far
	})
}

func (e *Engine) add(ctx context.Context, c Conversation) (Conversation, error) {
	return c, e.c.Store.AddConversation(ctx, c, true)
}

// begin makes a conversation, whose user the bot then welcomes, unless add finds that
// another one was made meanwhile. While the bot has much to answer, nobody new is let in.
func (e *Engine) begin(ctx context.Context, h Hello, add func(context.Context, Conversation) (Conversation, error)) (Conversation, error) {
	if err := e.party(h.Bot).welcome(); err != nil {
		return Conversation{}, err
	}
	c := Conversation{
		ID: ID("cnv_" + randomName()), Bot: h.Bot, User: h.User,
		Context: json.RawMessage("{}"), Created: e.now(),
	}
	for _, set := range []json.RawMessage{h.Past, h.Context} { // the bot's welcome has both
		if len(set) == 0 {
			continue
		}
		if err := c.Merge(set, Greeting); err != nil {
			return Conversation{}, err
		}
	}
	now, err := add(ctx, c)
	if err != nil {
		return Conversation{}, err
	}
	if now.ID != c.ID {
		return now, nil
	}
	e.party(c.Bot).owed.Add(1)
	e.c.Wake(c.Bot)
	return c, nil
}

// Current is the conversation that [Engine.Open] goes on with if none is named;
// fault.NotFound if it would begin one.
func (e *Engine) Current(ctx context.Context, u User, b bot.ID) (Conversation, error) {
	c, err := e.c.Store.CurrentConversation(ctx, u, b)
	if err == nil && e.party(b).ended(c.Created, e.now()) {
		return Conversation{}, fault.New(fault.NotFound, "the conversation has ended")
	}
	return c, err
}

// own is the conversation if it is u's.
func (e *Engine) own(ctx context.Context, u User, id ID) (Conversation, error) {
	c, err := e.c.Store.FindConversation(ctx, id)
	if fault.KindOf(err) == fault.NotFound || err == nil && c.User != u {
		err = &fault.Error{Kind: fault.NotFound, Field: "conversation", Msg: "there is no such conversation"}
	}
	if err != nil {
		return Conversation{}, err
	}
	return c, nil
}

// MaxPage and DefaultPage are the messages of a page of [Engine.History].
const (
	MaxPage     = 100
	DefaultPage = 20
)

// History answers the messages before a sequence number, oldest first, and whether
// there are older ones. Before 0 is before the end; limit 0 is DefaultPage, and no
// page has more than MaxPage.
func (e *Engine) History(ctx context.Context, u User, id ID, before int64, limit int) ([]Message, bool, error) {
	c, err := e.own(ctx, u, id)
	if err == nil {
		err = e.protect(ctx, Ask{Conversation: &c}, securesession.History)
	}
	if err != nil {
		return nil, false, err
	}
	return e.page(ctx, id, before, limit)
}

// Past is [Engine.History] for who does not show it to anybody.
func (e *Engine) Past(ctx context.Context, u User, id ID, before int64, limit int) ([]Message, bool, error) {
	if _, err := e.own(ctx, u, id); err != nil {
		return nil, false, err
	}
	return e.page(ctx, id, before, limit)
}

func (e *Engine) page(ctx context.Context, id ID, before int64, limit int) ([]Message, bool, error) {
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	ms, err := e.c.Store.MessagesBefore(ctx, id, before, limit+1) // the oldest ones may be gone, so it tells whether there is one more
	if err != nil {
		return nil, false, err
	}
	first := max(0, len(ms)-limit)
	return ms[first:], first > 0, nil
}

// publishTimeout bounds how long a bus that hangs holds up a conversation.
const publishTimeout = 2 * time.Second

// publish tells the other nodes.
func (e *Engine) publish(ctx context.Context, id ID, ev event) {
	if e.c.Bus == nil {
		return
	}
	ev.Node = e.c.Node
	data, err := ev.encode()
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		err = e.c.Bus.Publish(ctx, subject(id), data)
	}
	e.busTrouble.note(ctx, err)
}

func subject(id ID) string { return "conversation/" + string(id) }

// now is the time in whole milliseconds, which is what stores keep.
func (e *Engine) now() time.Time { return e.c.Clock().Truncate(time.Millisecond) }

func randomName() string { return strings.ToLower(rand.Text()) }
