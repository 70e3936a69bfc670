package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// restartGroup measures what it takes when a node with many connections stops: its clients
// come to another one, when they are told to and as the web SDK does.
func restartGroup() group {
	names := []string{"node/restart", "node/restart rush", "node/restart cpu"}
	return group{names, func(ctx context.Context, report func(Result)) error {
		if err := roomFor(manySockets + 1000); err != nil {
			return err
		}
		return withCluster(ctx, 2, clusterChat, func(c *cluster) error { return measureRestart(ctx, c, report) })
	}}
}

// spreadRate is how many clients a second a node that stops has come back elsewhere.
const spreadRate = 500

func measureRestart(ctx context.Context, c *cluster, report func(Result)) error {
	from, to := c.nodes[0], c.nodes[1]
	form, err := from.page(ctx)
	if err != nil {
		return err
	}
	tokens, err := sessionTokens(from.public, form, manySockets)
	if err != nil {
		return err
	}
	m := &move{ctx: ctx, to: to.public}
	all := make([]*mover, len(tokens))
	err = each(0, len(tokens), func(i int) error {
		all[i] = &mover{move: m}
		all[i].visitor = visitor{token: tokens[i], hears: all[i].hear}
		return all[i].visitor.connect(from.public, all[i].lost)
	})
	if err != nil {
		return err
	}
	defer func() {
		m.over.Store(true)
		for _, v := range all {
			v.visitor.close()
		}
	}()
	start := time.Now()
	if err := from.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	rush, busiest := 0, time.Duration(0)
	for before, spent := int64(0), time.Duration(0); m.back.Load() < manySockets; {
		if time.Since(start) > 3*time.Minute {
			return fmt.Errorf("of %d clients %d have come back, and the last error was %v", manySockets, m.back.Load(), m.failed())
		}
		now, err := to.cpu()
		if err != nil {
			return err
		}
		if spent > 0 {
			busiest = max(busiest, now-spent)
		}
		back := m.back.Load()
		rush, before, spent = max(rush, int(back-before)), back, now
		time.Sleep(time.Second)
	}
	took := m.last.Load() - start.UnixNano()
	report(beside("node/restart", "s", time.Duration(took).Seconds(), manySockets/spreadRate))
	report(atMost("node/restart rush", "per s", float64(rush), spreadRate, 1.5))
	report(alone("node/restart cpu", "% of a core", 100*busiest.Seconds()))
	return nil
}

// move is the way of all from one node to another.
type move struct {
	ctx  context.Context //nolint:containedctx // of the measurement
	to   string
	over atomic.Bool
	back atomic.Int64
	last atomic.Int64 // when the last came, in nanoseconds

	mu  sync.Mutex
	err error
}

func (m *move) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// mover is a client on its way.
type mover struct {
	*move
	visitor visitor
	after   time.Duration // that it was told to stay away
}

// hear learns when to come back.
func (v *mover) hear(_ *visitor, f []byte) {
	var e struct {
		Error struct {
			RetryAfter float64 `json:"retry_after"`
		}
	}
	if bytes.HasPrefix(f, []byte(`{"type":"error"`)) && json.Unmarshal(f, &e) == nil {
		v.after = time.Duration(e.Error.RetryAfter * float64(time.Second))
	}
}

// The web SDK's pauses between two tries, with full jitter (web/sdk/src/backoff.ts).
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

func (v *mover) lost(error) {
	for try := 0; !v.over.Load() && v.ctx.Err() == nil; try++ {
		time.Sleep(v.after + rand.N(min(maxPause, firstPause<<min(try, 10))))
		v.after = 0
		err := v.visitor.connect(v.to, v.lost)
		if err == nil {
			v.back.Add(1)
			v.last.Store(time.Now().UnixNano())
			return
		}
		v.mu.Lock()
		v.err = err
		v.mu.Unlock()
	}
}
