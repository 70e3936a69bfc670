package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

const (
	idleSockets = 5000
	echoSockets = 50
	echoRate    = 500 // a second, of all sockets
	echoTime    = 6 * time.Second
)

// chatGroup measures what an idle connection takes, and a message's way to a bot and back.
func chatGroup() group {
	return group{[]string{"socket/idle", "chat/echo"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error {
			n, err := startNode(ctx, dir, "chat: {connections_per_ip: 100000, connects_per_ip: none, sends_per_user: none}\n")
			if err != nil {
				return err
			}
			defer n.stop()
			out, err := n.carnet(ctx, "apps", "add", "page", "--public", "--session-algorithm", "ES256", "--json")
			if err != nil {
				return err
			}
			var app struct {
				ID string `json:"client_id"`
			}
			if err := json.Unmarshal([]byte(out), &app); err != nil {
				return fmt.Errorf("carnet apps add: %w", err)
			}
			form := url.Values{"clientId": {app.ID}, "isAnonymous": {"true"}}
			sts := request("POST", "/sts", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
			if err := settle(ctx, n.public, sts); err != nil {
				return err
			}
			if err := measureEcho(ctx, n, dir, form, report); err != nil {
				return err
			}
			return measureIdle(n, form, report)
		})
	}}
}

// socket is a client that hands its frames on.
type socket struct {
	gws.BuiltinEventHandler
	conn    *gws.Conn
	welcome chan struct{}
	bot     chan time.Time // when a message of the bot came
}

// OnMessage implements [gws.Event].
func (s *socket) OnMessage(_ *gws.Conn, m *gws.Message) {
	now := time.Now()
	text := m.Bytes()
	switch {
	case strings.HasPrefix(string(text), `{"type":"welcome"`):
		close(s.welcome)
	case strings.HasPrefix(string(text), `{"type":"message"`) && strings.Contains(string(text), `"from":"bot"`):
		s.bot <- now
	}
	_ = m.Close()
}

// dial opens a conversation of a new visitor with the echo and waits for its greeting.
func dial(n *node, form url.Values) (*socket, error) {
	resp, err := http.PostForm("http://"+n.public+"/sts", form)
	if err != nil {
		return nil, err
	}
	var answer struct{ JWT string }
	err = json.NewDecoder(resp.Body).Decode(&answer)
	_ = resp.Body.Close()
	if err != nil || answer.JWT == "" {
		return nil, fmt.Errorf("no session token: %v", err)
	}
	s := &socket{welcome: make(chan struct{}), bot: make(chan time.Time, 16)}
	s.conn, _, err = gws.NewClient(s, &gws.ClientOption{
		Addr: "ws://" + n.public + "/chat/v1/connect", RequestHeader: http.Header{"Sec-Websocket-Protocol": {"carnet.v1"}},
		ReadBufferSize: 1024, WriteBufferSize: 1024,
	})
	if err != nil {
		return nil, err
	}
	go s.conn.ReadLoop()
	if err := s.conn.WriteString(`{"type":"hello","bot":"echo","token":"` + answer.JWT + `"}`); err != nil {
		return nil, err
	}
	for _, c := range []func() bool{
		func() bool {
			select {
			case <-s.welcome:
				return true
			case <-time.After(20 * time.Second):
				return false
			}
		},
		func() bool {
			select {
			case <-s.bot:
				return true
			case <-time.After(20 * time.Second):
				return false
			}
		},
	} {
		if !c() {
			return nil, errors.New("the chat does not answer")
		}
	}
	return s, nil
}

// dialMany opens connections, a few at a time.
func dialMany(n *node, form url.Values, count int) ([]*socket, error) {
	sockets, errs := make([]*socket, count), make([]error, count)
	var wg sync.WaitGroup
	turn := make(chan struct{}, 16)
	for i := range count {
		turn <- struct{}{}
		wg.Go(func() {
			sockets[i], errs[i] = dial(n, form)
			<-turn
		})
	}
	wg.Wait()
	return sockets, errors.Join(errs...)
}

// measureIdle divides the growth of the server's resident memory.
func measureIdle(n *node, form url.Values, report func(Result)) error {
	before, err := n.rss()
	if err != nil {
		return err
	}
	sockets, err := dialMany(n, form, idleSockets)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // what connecting took is collected, what stays is what idle connections take
	after, err := n.rss()
	if err != nil {
		return err
	}
	for _, s := range sockets {
		_ = s.conn.NetConn().Close()
	}
	value := float64(after-before) / idleSockets / 1024
	report(Result{"socket/idle", value, "KB", 0, 0, "≤ 14 KB", value <= 14})
	return nil
}

// rss is the resident memory of the process in bytes.
func (p *process) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// measureEcho sends at a steady rate and times each message until its echo is back, in
// turn with commits of a bare table at the same rate.
func measureEcho(ctx context.Context, n *node, dir string, form url.Values, report func(Result)) error {
	sockets, err := dialMany(n, form, echoSockets)
	if err != nil {
		return err
	}
	var ours, reference []float64
	for round := range 3 {
		o, err := echoes(sockets, round)
		if err != nil {
			return err
		}
		c, err := commits(ctx, filepath.Join(dir, fmt.Sprintf("bare-%d.db", round)))
		if err != nil {
			return err
		}
		ours, reference = append(ours, median(o)), append(reference, median(c))
	}
	report(atMost("chat/echo", "ms p50", median(ours), median(reference), 4))
	return nil
}

// echoes are round trips in milliseconds.
func echoes(sockets []*socket, round int) ([]float64, error) {
	took, errs := make([][]float64, len(sockets)), make([]error, len(sockets))
	var wg sync.WaitGroup
	every := time.Second * time.Duration(len(sockets)) / echoRate
	for i, s := range sockets {
		wg.Go(func() {
			time.Sleep(every * time.Duration(i) / time.Duration(len(sockets)))
			tick := time.NewTicker(every)
			defer tick.Stop()
			for k := range int(echoTime / every) {
				start := time.Now()
				if errs[i] = s.conn.WriteString(fmt.Sprintf(`{"type":"send","id":"m-%d-%d-%d","body":{"text":"How long does this take?"}}`, round, i, k)); errs[i] != nil {
					return
				}
				select {
				case at := <-s.bot:
					took[i] = append(took[i], float64(at.Sub(start).Microseconds())/1000)
				case <-time.After(10 * time.Second):
					errs[i] = errors.New("no echo in 10 s")
					return
				}
				<-tick.C
			}
		})
	}
	wg.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}

// commits are transactions of one row in milliseconds, on the disk when they end.
func commits(ctx context.Context, path string) (took []float64, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `CREATE TABLE messages (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)`); err != nil {
		return nil, err
	}
	tick := time.NewTicker(time.Second / echoRate)
	defer tick.Stop()
	for i := range int(echoTime.Seconds() * echoRate / 2) {
		<-tick.C
		start := time.Now()
		if _, err := db.ExecContext(ctx, `INSERT INTO messages (id, body) VALUES (?, ?)`, fmt.Sprint(i), `{"text":"How long does this take?"}`); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start).Microseconds())/1000)
	}
	return took, nil
}
