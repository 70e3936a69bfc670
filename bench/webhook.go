package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	webhookTime = 4 * time.Second // of each load, and of the commits beside it
	chatRounds  = 3
	pressed     = 512 // messages on the way when the rate is what the node makes of it
	commitRate  = 500 // a second
)

// webhookGroup measures a message's way from the client to the store, the bot, the store
// and back.
func webhookGroup() group {
	names := []string{"chat/webhook", "chat/flat-out", "chat/cpu", "chat/overload"}
	return group{names, func(ctx context.Context, report func(Result)) error {
		return withChat(ctx, func(n *node, c *crowd, dir string) error {
			if err := c.connect(manySockets); err != nil {
				return err
			}
			return measureWebhook(ctx, n, c, dir, report)
		})
	}}
}

// webhookRates are messages a second, of all visitors.
var webhookRates = []float64{500, 1000, 2000}

// delays are quantiles in milliseconds, of several rounds.
type delays struct{ p50, p99 []float64 }

func (d *delays) add(sorted []float64) {
	d.p50, d.p99 = append(d.p50, quantile(sorted, 0.5)), append(d.p99, quantile(sorted, 0.99))
}

// measureWebhook times messages at steady rates, in turn with commits of a bare table.
// Then it presses.
func measureWebhook(ctx context.Context, n *node, c *crowd, dir string, report func(Result)) error {
	ours, bare := make([]delays, len(webhookRates)), delays{}
	for round := range chatRounds {
		for i, rate := range webhookRates {
			c.reset()
			c.pace(ctx, rate, webhookTime)
			if err := c.drain(ctx); err != nil {
				return err
			}
			ours[i].add(c.roundTrips())
		}
		took, err := commits(ctx, filepath.Join(dir, fmt.Sprintf("bare-%d.db", round)))
		if err != nil {
			return err
		}
		bare.add(took)
	}
	for i, rate := range webhookRates {
		name, p50, p99 := fmt.Sprintf("chat/webhook/%g", rate), median(ours[i].p50), median(ours[i].p99)
		if rate == 1000 {
			report(atMost(name+" p50", "ms", p50, median(bare.p50), 4))
			report(atMost(name+" p99", "ms", p99, median(bare.p99), 10))
			continue
		}
		report(beside(name+" p50", "ms", p50, median(bare.p50)))
		report(beside(name+" p99", "ms", p99, median(bare.p99)))
	}
	rate, err := measurePressed(ctx, n, c, report)
	if err != nil {
		return err
	}
	return measureOverload(ctx, c, 2*rate, report)
}

// measurePressed finds what the node makes of as much as there is room for.
func measurePressed(ctx context.Context, n *node, c *crowd, report func(Result)) (rate float64, err error) {
	var rates, costs []float64
	for range chatRounds {
		c.reset()
		before, err := n.cpu()
		if err != nil {
			return 0, err
		}
		rates = append(rates, c.press(ctx, pressed, 2*webhookTime))
		if err := c.drain(ctx); err != nil {
			return 0, err
		}
		after, err := n.cpu()
		if err != nil {
			return 0, err
		}
		costs = append(costs, float64((after-before).Microseconds())/float64(c.answered.Load()))
	}
	rate = median(rates)
	report(Result{"chat/flat-out", rate, "per s", 0, 0, "≥ 4000 per s", rate >= 4000})
	report(absolute("chat/cpu", "µs", median(costs), 250))
	return rate, nil
}

// measureOverload sends more than the node can take: it is to say so, to lose no
// connection over it, and to answer in time what it has taken.
func measureOverload(ctx context.Context, c *crowd, rate float64, report func(Result)) error {
	c.reset()
	lost := c.lost.Load()
	c.pace(ctx, rate, 2*webhookTime)
	if err := c.drain(ctx); err != nil {
		return err
	}
	busy := 100 * float64(c.busy.Load()) / float64(c.sent.Load())
	report(absolute("chat/overload p99", "ms", quantile(c.roundTrips(), 0.99), 5000))
	report(Result{"chat/overload busy", busy, "%", 0, 0, "> 0 %", busy > 0})
	report(absolute("chat/overload lost", "sockets", float64(c.lost.Load()-lost), 0))
	return nil
}

// commits are transactions of one row in milliseconds, on the disk when they end,
// shortest first.
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
	tick := time.NewTicker(time.Second / commitRate)
	defer tick.Stop()
	for i := range int(webhookTime.Seconds() * commitRate) {
		<-tick.C
		start := time.Now()
		if _, err := db.ExecContext(ctx, `INSERT INTO messages (id, body) VALUES (?, ?)`, fmt.Sprint(i), `{"text":"How long does this take?"}`); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start).Microseconds())/1000)
	}
	slices.Sort(took)
	return took, nil
}
