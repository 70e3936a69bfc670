package chat

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
)

// hook is called around each use of a memory, with the name of the use.
type hook func(ctx context.Context, what string) error

// memory is a store that forgets nothing and can be made to fail.
type memory struct {
	mu     sync.Mutex
	before hook // may take its time, or refuse
	after  hook // its error comes back although the use was done
	all    map[ID]*record
	order  []ID // oldest first
	calls  map[string]int
}

// record is what memory has of one conversation.
type record struct {
	Conversation
	messages []Message
	turns    []bot.Turn // unfinished, oldest first
	ready    time.Time  // when the oldest turn may be leased
	welcomes int
	seen     time.Time // zero: there is no session
	told     bool      // that the user is offline since
	dead     []string  // reasons of the turns that were given up
}

func free(ctx context.Context, _ string) error { return ctx.Err() }

func newMemory() *memory {
	return &memory{before: free, after: free, all: map[ID]*record{}, calls: map[string]int{}}
}

// ahead sets what is called before each use.
func (m *memory) ahead(h hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = h
}

// behind sets what is called after each use of a conversation.
func (m *memory) behind(h hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.after = h
}

// of is a copy of what there is of a conversation.
func (m *memory) of(id ID) record {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := *m.all[id]
	r.messages, r.turns = slices.Clone(r.messages), slices.Clone(r.turns)
	return r
}

// use runs f on the conversation as if in a transaction.
func (m *memory) use(ctx context.Context, what string, id ID, f func(*record) error) error {
	if err := m.enter(ctx, what); err != nil {
		return err
	}
	m.mu.Lock()
	r := m.all[id]
	err := error(fault.New(fault.NotFound, "no such conversation"))
	if r != nil {
		err = f(r)
	}
	after := m.after
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return after(ctx, what)
}

func (m *memory) enter(ctx context.Context, what string) error {
	m.mu.Lock()
	m.calls[what]++
	before := m.before
	m.mu.Unlock()
	return before(ctx, what)
}

func (m *memory) count(what string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[what]
}

func (m *memory) FindConversation(ctx context.Context, id ID) (c Conversation, err error) {
	err = m.use(ctx, "find", id, func(r *record) error { c = r.Conversation; return nil })
	return c, err
}

func (m *memory) CurrentConversation(ctx context.Context, u User, b bot.ID) (Conversation, error) {
	if err := m.enter(ctx, "current"); err != nil {
		return Conversation{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Backward(m.order) {
		if r := m.all[id]; r.User == u && r.Bot == b {
			return r.Conversation, nil
		}
	}
	return Conversation{}, fault.New(fault.NotFound, "no such conversation")
}

func (m *memory) AddConversation(ctx context.Context, c Conversation, welcome bool) error {
	if err := m.enter(ctx, "add"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &record{Conversation: c}
	if welcome {
		r.turns = append(r.turns, bot.Turn{Kind: bot.Welcome, MessageID: "welcome", At: c.Created})
		r.welcomes++
	}
	m.all[c.ID] = r
	m.order = append(m.order, c.ID)
	return nil
}

func (m *memory) NextConversation(ctx context.Context, c Conversation, after ID) (Conversation, error) {
	newest, err := m.CurrentConversation(ctx, c.User, c.Bot)
	if err != nil && fault.KindOf(err) != fault.NotFound || newest.ID != after {
		return newest, err
	}
	return c, m.AddConversation(ctx, c, true)
}

func (m *memory) MergeContext(ctx context.Context, id ID, set json.RawMessage, by Author) error {
	return m.use(ctx, "context", id, func(r *record) error { return r.Merge(set, by) })
}

func (m *memory) SetRead(ctx context.Context, id ID, seq int64) error {
	return m.use(ctx, "read", id, func(r *record) error { r.ReadSeq = max(r.ReadSeq, seq); return nil })
}

func (m *memory) MoveConversations(ctx context.Context, from, to User) (map[ID]int64, error) {
	if err := m.enter(ctx, "move"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	moved := map[ID]int64{}
	for id, r := range m.all {
		if r.User == from {
			r.User = to
			r.Moves++
			moved[id] = r.Moves
		}
	}
	return moved, nil
}

func (m *memory) Stands(ctx context.Context, ids []ID) (map[ID]Stand, error) {
	if err := m.enter(ctx, "last"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	stands := map[ID]Stand{}
	for _, id := range ids {
		if r := m.all[id]; r != nil {
			stands[id] = Stand{r.LastSeq, r.Moves}
		}
	}
	return stands, nil
}

func (m *memory) AppendMessages(ctx context.Context, id ID, drafts []Draft, at, until time.Time) (ms []Message, turn *bot.Turn, err error) {
	err = m.use(ctx, "append", id, func(r *record) error {
		first := len(r.turns) == 0
		ms = r.add(drafts, at)
		if first && len(r.turns) > 0 && !until.IsZero() {
			leased := r.lease(until)
			turn = &leased
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return ms, turn, nil
}

// lease leases the oldest turn.
func (r *record) lease(until time.Time) bot.Turn {
	r.ready = until
	r.turns[0].Attempt++
	t := r.turns[0]
	t.Conversation, t.Bot, t.User, t.Context = string(r.ID), r.Bot, r.User, r.Context
	return t
}

func (r *record) add(drafts []Draft, at time.Time) []Message {
	var ms []Message
	for _, d := range drafts {
		i := slices.IndexFunc(r.messages, func(m Message) bool { return m.ID == d.ID })
		if i >= 0 {
			ms = append(ms, r.messages[i])
			continue
		}
		r.LastSeq++
		m := Message{r.LastSeq, d.ID, d.From, d.Body, at}
		r.messages = append(r.messages, m)
		ms = append(ms, m)
		if d.From == FromUser {
			r.turns = append(r.turns, bot.Turn{Seq: m.Seq, Kind: bot.Message, MessageID: m.ID, Body: m.Body, At: at})
		}
	}
	return ms
}

func (m *memory) FinishTurn(ctx context.Context, t bot.Turn, drafts []Draft, set json.RawMessage, at time.Time) (ms []Message, ended bool, err error) {
	err = m.use(ctx, "finish", ID(t.Conversation), func(r *record) error {
		if set != nil {
			if err := r.Merge(set, Server); err != nil {
				return err
			}
		}
		n := len(r.turns)
		r.turns = slices.DeleteFunc(r.turns, func(o bot.Turn) bool { return o.MessageID == t.MessageID })
		if ended = len(r.turns) < n; !ended {
			return nil
		}
		ms, r.ready = r.add(drafts, at), time.Time{}
		return nil
	})
	return ms, ended, err
}

func (m *memory) DropTurn(ctx context.Context, t bot.Turn, reason string, drafts []Draft, at time.Time) ([]Message, bool, error) {
	ms, ended, err := m.FinishTurn(ctx, t, drafts, nil, at)
	if ended {
		err = m.use(ctx, "drop", ID(t.Conversation), func(r *record) error { r.dead = append(r.dead, reason); return nil })
	}
	return ms, ended, err
}

func (m *memory) MessagesBefore(ctx context.Context, id ID, before int64, limit int) (ms []Message, err error) {
	err = m.use(ctx, "before", id, func(r *record) error {
		ms = slices.DeleteFunc(slices.Clone(r.messages), func(m Message) bool { return before > 0 && m.Seq >= before })
		ms = ms[max(0, len(ms)-limit):]
		return nil
	})
	return ms, err
}

func (m *memory) MessagesAfter(ctx context.Context, id ID, after int64, limit int) (ms []Message, err error) {
	err = m.use(ctx, "after", id, func(r *record) error {
		ms = slices.DeleteFunc(slices.Clone(r.messages), func(m Message) bool { return m.Seq <= after })
		ms = ms[:min(limit, len(ms))]
		return nil
	})
	return ms, err
}

// forget deletes messages up to a number, as retention does.
func (m *memory) forget(id ID, upTo int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.all[id]
	r.messages = slices.DeleteFunc(r.messages, func(m Message) bool { return m.Seq <= upTo })
}

// What bot.Runner asks of a store.

func (m *memory) LeaseTurns(ctx context.Context, b bot.ID, now, until time.Time, limit int) ([]bot.Turn, error) {
	if err := m.enter(ctx, "lease"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var turns []bot.Turn
	for _, id := range m.order {
		r := m.all[id]
		if r.Bot != b || len(r.turns) == 0 || now.Before(r.ready) || len(turns) == limit {
			continue
		}
		turns = append(turns, r.lease(until))
	}
	return turns, nil
}

func (m *memory) ExtendTurn(ctx context.Context, t bot.Turn, until time.Time) (held bool, err error) {
	err = m.use(ctx, "extend", ID(t.Conversation), func(r *record) error {
		held = len(r.turns) > 0 && r.turns[0].Seq == t.Seq && r.turns[0].Attempt == t.Attempt
		if held {
			r.ready = until
		}
		return nil
	})
	return held, err
}

func (m *memory) RetryTurn(ctx context.Context, t bot.Turn, at time.Time) error {
	_, err := m.ExtendTurn(ctx, t, at)
	return err
}
