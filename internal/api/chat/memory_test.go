package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// spy is the engine with an eye on what it is asked.
type spy struct {
	*chat.Engine
	mu     sync.Mutex
	hellos []chat.Hello
	sinks  []chat.Sink
	fail   error
}

func (e *spy) Open(ctx context.Context, h chat.Hello, s chat.Sink) (*chat.Session, error) {
	e.mu.Lock()
	e.hellos, e.sinks = append(e.hellos, h), append(e.sinks, s)
	fail := e.fail
	e.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return e.Engine.Open(ctx, h, s)
}

// sink is the connection that was opened last.
func (e *spy) sink() chat.Sink {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sinks[len(e.sinks)-1]
}

func (e *spy) hello() chat.Hello {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hellos[len(e.hellos)-1]
}

// silence is a bus to no other node.
type silence struct{}

func (silence) Publish(context.Context, string, []byte) error { return nil }
func (silence) Subscribe(string, func([]byte)) func()         { return func() {} }

// memory is a store that forgets.
type memory struct {
	mu    sync.Mutex
	convs []*chat.Conversation
	said  map[chat.ID][]chat.Message
	fail  error // of every call
}

func newMemory() *memory { return &memory{said: map[chat.ID][]chat.Message{}} }

// breaks makes every call fail with err; nil mends it.
func (m *memory) breaks(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// forget loses all conversations.
func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.convs, m.said = nil, map[chat.ID][]chat.Message{}
}

func (m *memory) find(is func(*chat.Conversation) bool) (*chat.Conversation, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	for _, c := range slices.Backward(m.convs) {
		if is(c) {
			return c, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no such conversation")
}

func (m *memory) lookup(is func(*chat.Conversation) bool) (chat.Conversation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.find(is)
	if err != nil {
		return chat.Conversation{}, err
	}
	return *c, nil
}

func (m *memory) edit(id chat.ID, f func(*chat.Conversation)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.find(func(c *chat.Conversation) bool { return c.ID == id })
	if err == nil {
		f(c)
	}
	return err
}

func (m *memory) FindConversation(_ context.Context, id chat.ID) (chat.Conversation, error) {
	return m.lookup(func(c *chat.Conversation) bool { return c.ID == id })
}

func (m *memory) CurrentConversation(_ context.Context, u chat.User, b bot.ID) (chat.Conversation, error) {
	return m.lookup(func(c *chat.Conversation) bool { return c.User == u && c.Bot == b })
}

func (m *memory) AddConversation(_ context.Context, c chat.Conversation, _ bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.convs = append(m.convs, &c)
	return m.fail
}

func (m *memory) NextConversation(ctx context.Context, c chat.Conversation, after chat.ID) (chat.Conversation, error) {
	newest, err := m.CurrentConversation(ctx, c.User, c.Bot)
	if err != nil && fault.KindOf(err) != fault.NotFound || newest.ID != after {
		return newest, err
	}
	return c, m.AddConversation(ctx, c, true)
}

func (m *memory) MoveConversations(_ context.Context, from, to chat.User) (map[chat.ID]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	moved := map[chat.ID]int64{}
	for _, c := range m.convs {
		if c.User == from {
			c.User = to
			c.Moves++
			moved[c.ID] = c.Moves
		}
	}
	return moved, m.fail
}

func (m *memory) Stands(_ context.Context, ids []chat.ID) (map[chat.ID]chat.Stand, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stands := map[chat.ID]chat.Stand{}
	for _, c := range m.convs {
		if slices.Contains(ids, c.ID) {
			stands[c.ID] = chat.Stand{Last: int64(len(m.said[c.ID])), Moves: c.Moves}
		}
	}
	return stands, m.fail
}

func (m *memory) MergeContext(_ context.Context, id chat.ID, set json.RawMessage, by chat.Author) error {
	var refused error
	err := m.edit(id, func(c *chat.Conversation) { refused = c.Merge(set, by) })
	return cmp.Or(err, refused)
}

func (m *memory) SetRead(_ context.Context, id chat.ID, seq int64) error {
	return m.edit(id, func(c *chat.Conversation) { c.ReadSeq = max(c.ReadSeq, seq) })
}

func (m *memory) AppendMessages(_ context.Context, id chat.ID, drafts []chat.Draft, at, _ time.Time) ([]chat.Message, *bot.Turn, error) {
	var out []chat.Message
	err := m.edit(id, func(c *chat.Conversation) {
		for _, d := range drafts {
			i := slices.IndexFunc(m.said[id], func(s chat.Message) bool { return s.ID == d.ID })
			if i < 0 {
				i = len(m.said[id])
				m.said[id] = append(m.said[id], chat.Message{Seq: int64(i + 1), ID: d.ID, From: d.From, Body: d.Body, At: at})
			}
			out = append(out, m.said[id][i])
		}
		c.LastSeq = int64(len(m.said[id]))
	})
	return out, nil, err
}

func (m *memory) DropTurn(ctx context.Context, t bot.Turn, _ string, drafts []chat.Draft, at time.Time) ([]chat.Message, bool, error) {
	return m.FinishTurn(ctx, t, drafts, nil, at)
}

func (m *memory) FinishTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, _ json.RawMessage, at time.Time) ([]chat.Message, bool, error) {
	ms, _, err := m.AppendMessages(ctx, chat.ID(t.Conversation), drafts, at, time.Time{})
	return ms, err == nil, err
}

func (m *memory) MessagesBefore(_ context.Context, id chat.ID, before int64, limit int) ([]chat.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.said[id]
	if before > 0 {
		all = all[:min(before-1, int64(len(all)))]
	}
	return slices.Clone(all[max(0, len(all)-limit):]), m.fail
}

func (m *memory) MessagesAfter(_ context.Context, id chat.ID, after int64, limit int) ([]chat.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.said[id][min(after, int64(len(m.said[id]))):]
	return slices.Clone(all[:min(limit, len(all))]), m.fail
}

func (m *memory) FindMessage(_ context.Context, in chat.ID, id string) (chat.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.said[in], func(s chat.Message) bool { return s.ID == id })
	if i < 0 {
		return chat.Message{}, cmp.Or(m.fail, error(fault.New(fault.NotFound, "no such message")))
	}
	return m.said[in][i], m.fail
}

func (m *memory) Saw(context.Context, []chat.ID, time.Time) error { return nil }

func (m *memory) Lapse(context.Context, bot.ID, bot.Kind, time.Duration, time.Time, int) (int, error) {
	return 0, nil
}

func (m *memory) WaitingTurns(context.Context) (map[bot.ID]int64, error) { return nil, nil }
