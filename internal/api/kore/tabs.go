package kore

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

const (
	maxTabs = 1 << 14 // that are remembered
	maxSent = 64      // of a tab's own messages that are remembered
)

// tab is a browser's tab, as far as this node has seen it. The SDK says nothing of what
// it shows, so what it was sent is remembered here, over the loss of its socket and over
// a new token. A tab may have two sockets: when it sends while it has none, the SDK opens
// a second one and never gives up the first. Safe for concurrent use.
type tab struct {
	name  string // the ID of its first grant
	user  chat.User
	bot   bot.ID
	agent string // the browser
	// since is from when on the tab may lack messages of the user's: older ones it has,
	// or nobody can tell. The SDK draws such a message as often as it comes.
	since time.Time

	mu           sync.Mutex
	conversation chat.ID
	shown        int64     // the tab has all messages up to it
	sent         []string  // its own messages, the newest last
	conns        []*conn   // the newest last
	began        time.Time // the newest of them, if that is over, too
}

// place is where the tab is: its conversation, and the last message that it has of it.
func (t *tab) place() (chat.ID, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conversation, t.shown
}

// at says that the tab is in a conversation, which it has up to seq if it comes there
// from another one.
func (t *tab) at(id chat.ID, seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conversation != id {
		t.conversation, t.shown = id, seq
	}
}

func (t *tab) enter(c *conn, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = append(t.conns, c)
	t.began = now
}

func (t *tab) leave(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = slices.DeleteFunc(t.conns, func(o *conn) bool { return o == c })
}

// last tells when the tab's newest connection began, and whether there is one now.
func (t *tab) last() (began time.Time, connected bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.began, len(t.conns) > 0
}

// show notes that the tab has all messages up to seq.
func (t *tab) show(id chat.ID, seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conversation == id {
		t.shown = max(t.shown, seq)
	}
}

// send notes that a message is the tab's own.
func (t *tab) send(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sent) == maxSent {
		t.sent = slices.Delete(t.sent, 0, 1)
	}
	t.sent = append(t.sent, id)
}

// draws tells whether c is to draw a message of the user's: one that the tab did not
// send, on the newest of its connections.
func (t *tab) draws(c *conn, m chat.Message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns) > 0 && t.conns[len(t.conns)-1] == c && !m.At.Before(t.since) && !slices.Contains(t.sent, m.ID)
}

// tabs are those that may come back. It remembers so many at the most and forgets first
// which came first: a tab that is forgotten is sent all that it may lack of the bot's, of
// which the SDK draws what it has not. Safe for concurrent use.
type tabs struct {
	most int

	mu      sync.Mutex
	byGrant map[string]*list.Element // of known
	order   *list.List               // of arrival, oldest first
	forgot  bool                     // a tab that was there
}

// known is a grant's tab. After a new token a tab has two grants.
type known struct {
	grant string
	tab   *tab
}

func newTabs(most int) *tabs {
	return &tabs{most: most, byGrant: map[string]*list.Element{}, order: list.New()}
}

// find is the tab of a grant, nil if it is not known.
func (ts *tabs) find(grant string) *tab {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	e, ok := ts.byGrant[grant]
	if !ok {
		return nil
	}
	ts.order.MoveToBack(e)
	return e.Value.(known).tab
}

// inherit is the tab of a page that comes back with a new grant, and so had another one
// before: the tab of the same user in such a browser that has lost its connection, the
// latest one; or the only one, whose loss was not noticed yet. nil: it cannot be told.
func (ts *tabs) inherit(g grant, agent string) *tab {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var found, only *tab
	var last time.Time
	several := false
	for e := ts.order.Back(); e != nil; e = e.Prev() {
		t := e.Value.(known).tab
		began, connected := t.last()
		if t.user != g.user() || t.bot != g.Bot || t.agent != agent || began.Truncate(time.Millisecond).After(g.issued()) {
			continue
		}
		if !connected && (found == nil || began.After(last)) {
			found, last = t, began
		}
		several = several || only != nil && only != t
		only = t
	}
	if found == nil && !several {
		return only
	}
	return found
}

// remembersAll tells whether a tab that is not known was never here.
func (ts *tabs) remembersAll() bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return !ts.forgot
}

// begin makes the tab of g whose first grant was the one named, under that one.
func (ts *tabs) begin(name string, g grant, agent string, since time.Time) *tab {
	t := &tab{name: name, user: g.user(), bot: g.Bot, agent: agent, since: since}
	ts.know(name, t)
	return t
}

// know remembers the tab of a grant.
func (ts *tabs) know(grant string, t *tab) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if e, ok := ts.byGrant[grant]; ok { // two connections of it at once
		ts.order.Remove(e)
	} else if len(ts.byGrant) >= ts.most {
		oldest := ts.order.Front()
		delete(ts.byGrant, oldest.Value.(known).grant)
		ts.order.Remove(oldest)
		ts.forgot = true
	}
	ts.byGrant[grant] = ts.order.PushBack(known{grant, t})
}
