// Package soak torments running nodes, and proves that nobody has lost a message by it.
//
// Clients speak carnet.v1 through a proxy that cuts, freezes and slows their connections,
// as the web SDK would. Nodes are killed and paused, tokens expire, and a bot answers,
// streams, fails, hangs and pushes, behind a proxy of its own. Everybody notes what they
// see. When the faults have ended and all is quiet, [Check] compares the notes with the
// history.
package soak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Node is a process of Carnet. All nodes of a run serve the same store.
type Node interface {
	Address() string // host and port of the public listener
	Start() error    // returns when the node is ready
	Kill() error     // SIGKILL; returns when the process is gone
	Pause() error    // SIGSTOP
	Resume() error   // SIGCONT
}

// Outage is a trouble of what nodes share, or of a node's way there.
type Outage struct {
	Name       string
	Begin, End func() error
}

// Config requires Nodes, App, Secret, BotSecret and BotToken; every other zero value has
// a default.
type Config struct {
	Nodes       []Node
	App, Secret string // of an app whose identity is trusted
	BotSecret   string // that the calls of the bot are signed with
	BotToken    string // that lets the bot push

	Outages       []Outage      // each in its turn, for some seconds
	Conversations int           // default 200; a third of them have two clients
	Faults        time.Duration // how long there are faults; default 20 s
	Calm          time.Duration // of which the last part is without kills; default half
	Patience      time.Duration // until all is quiet after that, and for each history; default 1 min
	Kills         time.Duration // between two kills, on average; default 10 s
	Pause         time.Duration // between two messages of a client, on average; default 2 s
	Seed          uint64        // of all that is random
	Log           func(format string, args ...any)
}

// Run is one soak.
type Run struct {
	c       Config
	rand    *rand.Rand // of the faults
	bot     *bot
	front   *proxy // between clients and nodes
	back    *proxy // between nodes and the bot
	clients []*client
	http    *http.Client
	counts  counts
}

// BotName is what the configuration of the nodes calls the bot.
const BotName = "soak"

// New binds the listeners of the bot and of the proxies, and starts nothing.
func New(c Config) (*Run, error) {
	if len(c.Nodes) == 0 || c.App == "" || c.Secret == "" || c.BotSecret == "" || c.BotToken == "" {
		return nil, errors.New("soak: nodes, app, secret, bot secret and bot token are required")
	}
	c.Conversations = cmp.Or(c.Conversations, 200)
	c.Faults = cmp.Or(c.Faults, 20*time.Second)
	c.Calm = cmp.Or(c.Calm, c.Faults/2)
	c.Patience = cmp.Or(c.Patience, time.Minute)
	c.Kills = cmp.Or(c.Kills, 10*time.Second)
	c.Pause = cmp.Or(c.Pause, 2*time.Second)
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
	r := &Run{c: c, rand: random(c.Seed, 0), http: &http.Client{Timeout: 3 * time.Second}}
	var err error
	if r.bot, err = newBot(r); err != nil {
		return nil, err
	}
	if r.front, err = newProxy(func() (net.Conn, error) { return net.DialTimeout("tcp", r.node(), 2*time.Second) }); err != nil {
		return nil, errors.Join(err, r.bot.listener.Close())
	}
	if r.back, err = newProxy(func() (net.Conn, error) { return net.Dial("tcp", r.bot.listener.Addr().String()) }); err != nil {
		return nil, errors.Join(err, r.bot.listener.Close(), r.front.listener.Close())
	}
	for i := range c.Conversations {
		user := fmt.Sprintf("user-%d", i)
		r.clients = append(r.clients, newClient(r, user, "a", uint64(2*i+1)))
		if i%3 == 0 {
			r.clients = append(r.clients, newClient(r, user, "b", uint64(2*i+2)))
		}
	}
	return r, nil
}

func random(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// Bot is the address, host and port, at which nodes call the bot.
func (r *Run) Bot() string { return r.back.address() }

// node is the address of some node. The front proxy is the load balancer.
func (r *Run) node() string { return r.c.Nodes[rand.IntN(len(r.c.Nodes))].Address() }

// Run starts the nodes, torments them, waits until all is quiet, kills and starts every
// node once more, and returns what everybody has seen. The nodes still run then. An
// error says that there is nothing to be checked.
func (r *Run) Run(ctx context.Context) (Record, error) {
	for _, n := range r.c.Nodes {
		if err := n.Start(); err != nil {
			return Record{}, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background, talk sync.WaitGroup
	background.Go(func() { r.front.run(ctx) })
	background.Go(func() { r.back.run(ctx) })
	background.Go(func() { r.bot.serve(ctx) })
	background.Go(func() { r.report(ctx) })
	for _, c := range r.clients {
		talk.Go(func() { c.live(ctx) })
	}
	err := r.torment(ctx)
	if err == nil {
		r.c.Log("the faults have ended: %s", &r.counts)
		r.settle(ctx)
		err = r.restart()
	}
	var record Record
	if err == nil {
		record, err = r.record(ctx)
	}
	cancel()
	talk.Wait()
	background.Wait()
	return record, err
}

// restart kills every node once more, so that what is read afterwards is what is stored.
func (r *Run) restart() error {
	for _, n := range r.c.Nodes {
		if err := errors.Join(n.Kill(), n.Start()); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until nobody waits for anything, or patience is over: what is missing then
// is for [Check] to find.
func (r *Run) settle(ctx context.Context) {
	for _, c := range r.clients {
		c.quiet.Store(true)
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.Patience)
	defer cancel()
	start := time.Now()
	for !r.settled() {
		if pause(ctx, 200*time.Millisecond) != nil {
			r.c.Log("not quiet after %s", r.c.Patience)
			return
		}
	}
	r.c.Log("quiet after %s", time.Since(start).Round(time.Millisecond))
}

// settled reports whether every client has an answer for all that it sent, and has as
// much as the others of its user, with all that the bot owes.
func (r *Run) settled() bool {
	last := map[string]int64{}
	for _, c := range r.clients {
		seq, waits := c.state()
		if other, ok := last[c.user]; waits || ok && other != seq {
			return false
		}
		last[c.user] = seq
	}
	return true
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
