package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/rueidis"

	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// cluster is nodes that share a PostgreSQL, whose commits wait for the disk, and a Redis.
type cluster struct {
	nodes      []*node
	store, bus string // URLs
}

// withCluster has f work with so many nodes. yaml goes to the configuration of each.
func withCluster(ctx context.Context, count int, yaml string, f func(c *cluster) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return withPostgres(func(server *pgtest.Server) error {
		return withDir(func(dir string) error {
			c := &cluster{}
			var err error
			if c.store, err = server.Database(""); err != nil {
				return err
			}
			if c.bus, err = startRedis(ctx); err != nil {
				return err
			}
			shared, err := c.shared(dir)
			if err != nil {
				return err
			}
			for i := range count {
				own := filepath.Join(dir, strconv.Itoa(i))
				if err := os.Mkdir(own, 0o700); err != nil {
					return err
				}
				n, err := startNode(ctx, own, shared+yaml)
				if err != nil {
					return err
				}
				defer n.stop()
				c.nodes = append(c.nodes, n)
			}
			return f(c)
		})
	})
}

// shared makes master keys in dir, and is the part of the configuration that all nodes have.
func (c *cluster) shared(dir string) (yaml string, err error) {
	for _, name := range []string{"signing.key", "data.key"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("issuer: http://bench.test\nstore: %s\nbus: %s\nmaster_keys: {signing: 'file:%s/signing.key', data: 'file:%s/data.key'}\n",
		c.store, c.bus, dir, dir), nil
}

// clusterChat lets visitors of one address talk to a bot that answers by itself.
const clusterChat = `chat:
  connections_per_ip: 100000
  connects_per_ip: none
  sends_per_user: none
  bots:
    bench: {type: echo, welcome: none, max_waiting: 100000}
`

const (
	pairs       = 200 // of users with a socket at each of two nodes
	deliverRate = 200 // messages a second, of all
	deliverTime = 6 * time.Second
)

// clusterGroup measures how long it takes from a message's sending at one node to its
// coming at another, beside a commit in the same PostgreSQL and an event of the same
// Redis, one after the other with nothing around them.
func clusterGroup() group {
	return group{[]string{"cluster/deliver", "cluster/deliver p99"}, func(ctx context.Context, report func(Result)) error {
		return withCluster(ctx, 2, clusterChat, func(c *cluster) error { return measureDelivery(ctx, c, report) })
	}}
}

func measureDelivery(ctx context.Context, c *cluster, report func(Result)) error {
	form, err := c.nodes[0].page(ctx)
	if err != nil {
		return err
	}
	tokens, err := sessionTokens(c.nodes[0].public, form, pairs)
	if err != nil {
		return err
	}
	w := &watch{began: time.Now()}
	var senders []*visitor
	for _, token := range tokens {
		sender := &visitor{token: token, hears: func(*visitor, []byte) {}}
		hearer := &visitor{token: token, hears: func(_ *visitor, f []byte) { w.hear(f) }}
		for i, v := range []*visitor{sender, hearer} {
			if err := v.connect(c.nodes[i].public, func(error) {}); err != nil {
				return err
			}
			defer v.close()
		}
		senders = append(senders, sender)
	}
	bare, err := openBarePair(ctx, c, w)
	if err != nil {
		return err
	}
	defer bare.close()
	var ours, reference delays
	for range chatRounds {
		for _, m := range []struct {
			send func(i int) error
			to   *delays
		}{
			{func(i int) error {
				return senders[i%pairs].write(frameText, fmt.Appendf(nil, `{"type":"send","id":"%d","body":{"text":"How long does this take?"}}`, w.now()))
			}, &ours},
			{bare.send, &reference},
		} {
			took, err := w.pace(ctx, m.send)
			if err != nil {
				return err
			}
			m.to.add(took)
		}
	}
	report(beside("cluster/deliver", "ms", median(ours.p50), median(reference.p50)))
	report(beside("cluster/deliver p99", "ms", median(ours.p99), median(reference.p99)))
	return nil
}

// watch times what comes, and says itself when it was sent.
type watch struct {
	began time.Time

	mu   sync.Mutex
	took []float64 // milliseconds
}

// now is in microseconds, and what things carry.
func (w *watch) now() int64 { return time.Since(w.began).Microseconds() }

// hear takes a frame of the chat.
func (w *watch) hear(f []byte) {
	if !bytes.HasPrefix(f, messagePrefix) || !bytes.Contains(f, []byte(`"from":"user"`)) {
		return
	}
	if id, ok := member(f, "", `"id":"`); ok {
		w.came(string(id))
	}
}

func (w *watch) came(sent string) {
	at, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, float64(w.now()-at)/1000)
}

// pace sends at a steady rate, waits until all has come, and returns how long each took,
// the shortest first.
func (w *watch) pace(ctx context.Context, send func(i int) error) ([]float64, error) {
	w.mu.Lock()
	w.took = nil
	w.mu.Unlock()
	const count = int(deliverTime/time.Second) * deliverRate
	errs := make(chan error, count)
	tick := time.NewTicker(time.Second / deliverRate)
	defer tick.Stop()
	for i := range count {
		<-tick.C
		go func() { errs <- send(i) }()
	}
	for range count {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	err := retry(ctx, func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.took) < count {
			return fmt.Errorf("of %d messages %d came", count, len(w.took))
		}
		return nil
	})
	return slices.Sorted(slices.Values(w.took)), err
}

// barePair commits a row and tells of it, and nothing else.
type barePair struct {
	pool *pgxpool.Pool
	tell rueidis.Client
	ctx  context.Context //nolint:containedctx // of the measurement
	stop context.CancelFunc
	over sync.WaitGroup
	w    *watch
}

func openBarePair(ctx context.Context, c *cluster, w *watch) (*barePair, error) {
	pool, err := pgxpool.New(ctx, c.store+"?pool_max_conns=16")
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "CREATE TABLE bare (id bigserial PRIMARY KEY, body bytea NOT NULL)"); err != nil {
		return nil, err
	}
	option, err := rueidis.ParseURL(c.bus)
	if err != nil {
		return nil, err
	}
	option.DisableCache = true
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	b := &barePair{pool: pool, tell: client, w: w}
	b.ctx, b.stop = context.WithCancel(ctx)
	listening := make(chan error, 1)
	b.over.Go(func() {
		err := client.Receive(b.ctx, client.B().Subscribe().Channel("bare").Build(), func(m rueidis.PubSubMessage) { w.came(m.Message) })
		listening <- err
	})
	// The first event that comes says that the subscription is there.
	err = retry(ctx, func(ctx context.Context) error {
		n, err := client.Do(ctx, client.B().Publish().Channel("bare").Message("").Build()).AsInt64()
		if err == nil && n == 0 {
			err = errors.New("nobody listens to the bare event")
		}
		return err
	})
	return b, err
}

func (b *barePair) send(int) error {
	at := strconv.FormatInt(b.w.now(), 10)
	if _, err := b.pool.Exec(b.ctx, "INSERT INTO bare (body) VALUES ($1)", []byte(appendBody)); err != nil {
		return err
	}
	return b.tell.Do(b.ctx, b.tell.B().Publish().Channel("bare").Message(at).Build()).Error()
}

func (b *barePair) close() {
	b.stop()
	b.tell.Close()
	b.over.Wait()
	b.pool.Close()
}
