package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"
)

// visitor is an anonymous user of the demo's page with any number of sockets.
type visitor struct {
	n            *node
	token        string
	conversation string // once known

	mu    sync.Mutex
	acked map[string]int64 // message id → seq
}

func (n *node) newVisitor() *visitor {
	n.t.Helper()
	r := n.must(200, "POST", n.public+"/sts", url.Values{"clientId": {n.demo["CARNET_WEB_CLIENT_ID"]}, "isAnonymous": {"true"}})
	return &visitor{n: n, token: r.str("jwt"), acked: map[string]int64{}}
}

// frame has the members of all frames that these tests read.
type frame struct {
	Type         string
	Conversation string
	Session      string
	ID           string
	Seq          int64
	From         string
	Body         json.RawMessage
	Error        struct{ Code string }
}

// reader is one socket that is opened again whenever it is lost, with all that it has
// seen. What it sees out of order it reports.
type reader struct {
	gws.BuiltinEventHandler
	v       *visitor
	frames  chan frame // acks and nacks, for the writer
	session string

	mu   sync.Mutex
	seen []frame // messages, in the order of their coming
	open chan struct{}
}

// OnMessage implements [gws.Event].
func (r *reader) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	var f frame
	if err := json.Unmarshal(m.Bytes(), &f); err != nil {
		r.v.n.t.Errorf("a frame is not JSON: %v", err)
		return
	}
	switch f.Type {
	case "welcome":
		r.mu.Lock()
		r.session = f.Session
		r.v.mu.Lock()
		r.v.conversation = f.Conversation
		r.v.mu.Unlock()
		close(r.open)
		r.mu.Unlock()
	case "message":
		r.mu.Lock()
		if want := int64(len(r.seen)) + 1; f.Seq != want {
			r.v.n.t.Errorf("message %d comes where %d is due", f.Seq, want)
		}
		r.seen = append(r.seen, f)
		r.mu.Unlock()
	case "ack", "nack":
		select {
		case r.frames <- f:
		default: // nobody waits any more
		}
	}
}

// connect opens the socket once, from where it was lost. done closes when it is lost
// again. It is nil if the server is not there.
func (r *reader) connect() (conn *gws.Conn, done chan struct{}) {
	conn, _, err := gws.NewClient(r, &gws.ClientOption{
		Addr:          strings.Replace(r.v.n.public, "http", "ws", 1) + "/chat/v1/connect",
		RequestHeader: http.Header{"Sec-Websocket-Protocol": {"carnet.v1"}},
	})
	if err != nil {
		return nil, nil
	}
	r.mu.Lock()
	r.open = make(chan struct{})
	hello, err := json.Marshal(map[string]any{
		"type": "hello", "token": r.v.token, "bot": "echo", "after": len(r.seen), "session": r.session,
	})
	if r.session == "" {
		hello, err = json.Marshal(map[string]any{"type": "hello", "token": r.v.token, "bot": "echo", "after": 0})
	}
	open := r.open
	r.mu.Unlock()
	if err != nil || conn.WriteString(string(hello)) != nil {
		return nil, nil
	}
	done = make(chan struct{})
	go func() {
		conn.ReadLoop()
		close(done)
	}()
	select {
	case <-open:
		return conn, done
	case <-done:
		return nil, nil
	}
}

// stay keeps the socket open until stop is closed, and lets write use it.
func (r *reader) stay(stop <-chan struct{}, write func(conn *gws.Conn, lost <-chan struct{})) {
	for {
		conn, lost := r.connect()
		if conn != nil {
			write(conn, lost)
			select {
			case <-stop:
			case <-lost:
			}
			_ = conn.NetConn().Close()
			<-lost
		}
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestKillUnderLoad kills the server with SIGKILL at random moments while people talk.
// Whatever was acknowledged is in the history exactly once, in one order for all.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	n := newNode(t, "CARNET_LIMITS_STS_PER_IP=none", "CARNET_CHAT_SENDS_PER_USER=none")
	n.start()
	const people, kills = 8, 5
	stop := make(chan struct{})
	var visitors []*visitor
	var readers []*reader
	var load sync.WaitGroup
	for i := range people {
		v := n.newVisitor()
		visitors = append(visitors, v)
		writer, second := &reader{v: v, frames: make(chan frame, 64)}, &reader{v: v, frames: make(chan frame, 1)}
		readers = append(readers, writer, second)
		next := 0
		load.Go(func() {
			writer.stay(stop, func(conn *gws.Conn, lost <-chan struct{}) {
				for { // the same message until it is acknowledged
					id := fmt.Sprintf("m-%d-%d", i, next)
					text := fmt.Sprintf(`{"type":"send","id":%q,"body":{"text":%q}}`, id, id)
					if conn.WriteString(text) != nil {
						return
					}
					select {
					case <-stop:
						return
					case <-lost:
						return
					case f := <-writer.frames:
						if f.Type == "ack" && f.ID == id {
							v.mu.Lock()
							v.acked[id] = f.Seq
							v.mu.Unlock()
							next++
						}
					}
				}
			})
		})
		load.Go(func() { second.stay(stop, func(*gws.Conn, <-chan struct{}) {}) })
	}
	acks := func() (total int) {
		for _, v := range visitors {
			v.mu.Lock()
			total += len(v.acked)
			v.mu.Unlock()
		}
		return total
	}
	for range kills {
		before := acks()
		n.wait("carrying on", func() bool { return acks() >= before+50+rand.IntN(100) })
		n.stop(os.Kill)
		n.start()
	}
	before := acks()
	n.wait("carrying on after the last kill", func() bool { return acks() > before+20 })
	close(stop)
	load.Wait()

	for _, v := range visitors {
		n.wait("answering all", func() bool { h := v.history(); return len(h) > 0 && answered(h) })
		v.check(readers)
	}
	t.Logf("%d messages were acknowledged over %d kills", acks(), kills)
}

// history reads all pages.
func (v *visitor) history() (all []frame) {
	v.n.t.Helper()
	for before := int64(0); ; {
		target := fmt.Sprintf("%s/chat/v1/conversations/%s/messages?limit=100", v.n.public, v.conversation)
		if before > 0 {
			target += fmt.Sprintf("&before=%d", before)
		}
		r := v.n.must(200, "GET", target, nil, "Authorization", bearer(v.token))
		var page struct {
			Messages []frame
			More     bool
		}
		if err := json.Unmarshal([]byte(r.text), &page); err != nil {
			v.n.t.Fatal(err)
		}
		all = append(page.Messages, all...)
		if !page.More {
			return all
		}
		before = page.Messages[0].Seq
	}
}

// answered reports whether each message of the user has its echo.
func answered(history []frame) bool {
	said, echoed := 0, 0
	for _, m := range history {
		switch m.From {
		case "user":
			said++
		case "bot":
			echoed++
		}
	}
	return echoed == said+1 // and the welcome
}

// check compares what was acknowledged and what each socket saw with the history.
func (v *visitor) check(readers []*reader) {
	t := v.n.t
	t.Helper()
	history := v.history()
	place, echoes := map[string]int64{}, map[string]int{}
	for i, m := range history {
		if m.Seq != int64(i)+1 {
			t.Fatalf("the history has %d where %d is due", m.Seq, i+1)
		}
		if m.From == "user" {
			if at, twice := place[m.ID]; twice {
				t.Errorf("%s stands at %d and %d", m.ID, at, m.Seq)
			}
			place[m.ID] = m.Seq
			continue
		}
		echoes[string(m.Body)]++
	}
	for id, seq := range v.acked {
		if place[id] != seq {
			t.Errorf("%s was acknowledged as %d and stands at %d", id, seq, place[id])
		}
		if got := echoes[fmt.Sprintf(`{"text":%q}`, id)]; got != 1 {
			t.Errorf("%s was answered %d times", id, got)
		}
	}
	for _, r := range readers {
		if r.v != v {
			continue
		}
		r.mu.Lock()
		seen := slices.Clone(r.seen)
		r.mu.Unlock()
		for i, m := range seen {
			if h := history[i]; m.Seq != h.Seq || m.ID != h.ID || m.From != h.From || string(m.Body) != string(h.Body) {
				t.Fatalf("a socket saw %s as message %d, the history has %s", m.ID, m.Seq, h.ID)
			}
		}
	}
	if len(v.acked) == 0 {
		t.Errorf("nothing was acknowledged; the history has %v", slices.Collect(maps.Keys(place)))
	}
}
