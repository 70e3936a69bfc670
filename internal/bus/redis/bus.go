package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/carnetproject/carnet/internal/bus/local"
)

// buckets is how many channels there are. Subjects share them by their hash: so Redis
// learns no name of a user or a conversation, and has no more to remember however many
// there are.
const buckets = 1 << 14

const (
	// publishTimeout is how long Redis may take to accept an event. Whoever waits for
	// it has a message in hand.
	publishTimeout = 500 * time.Millisecond
	// away is how long nothing is published after Redis has failed to take an event.
	away = time.Second
)

// Bus carries events between nodes by Redis' PUBLISH. An event is lost for a node that
// is not connected at that moment, or has just begun to listen. Safe for concurrent use.
type Bus struct {
	client *Client
	prefix string
	here   *local.Bus // what came in goes round in this process
	failed atomic.Int64

	mu      sync.Mutex
	wanted  map[bucket]int // subscriptions of this process
	moved   map[bucket]struct{}
	nudge   chan struct{} // holds one: something has moved
	trouble bool          // listening has failed, and was told of; Run's own
}

type bucket uint32

// NewBus returns a bus whose channels begin with prefix, which sets it apart from those
// of others on the same Redis.
func NewBus(c *Client, prefix string) *Bus {
	return &Bus{
		client: c, prefix: prefix, here: local.New(),
		wanted: map[bucket]int{}, moved: map[bucket]struct{}{}, nudge: make(chan struct{}, 1),
	}
}

// Publish hands an event to Redis. It fails within publishTimeout, and at once where it
// has just failed.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn := b.client.get()
	if conn == nil || time.Now().UnixNano() < b.failed.Load() {
		return ErrAway
	}
	short, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	channel := b.channel(bucketOf(subject))
	err := conn.Do(short, conn.B().Publish().Channel(channel).Message(rueidis.BinaryString(pack(subject, data))).Build()).Error()
	if err != nil && ctx.Err() == nil {
		b.failed.Store(time.Now().Add(away).UnixNano())
		return fmt.Errorf("redis: publish: %w", err)
	}
	return err
}

// Subscribe calls f for each event of subject, as [local.Bus.Subscribe] does. It returns
// at once: until Redis has been told, events of other nodes do not come.
func (b *Bus) Subscribe(subject string, f func(data []byte)) (cancel func()) {
	in := bucketOf(subject)
	end := b.here.Subscribe(subject, f)
	b.want(in, 1)
	return sync.OnceFunc(func() {
		end()
		b.want(in, -1)
	})
}

func (b *Bus) want(in bucket, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.wanted[in]
	if b.wanted[in] = was + n; b.wanted[in] == 0 {
		delete(b.wanted, in)
	}
	if (was == 0) != (was+n == 0) {
		b.moved[in] = struct{}{}
		select {
		case b.nudge <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Run listens until ctx ends, and returns nil. [Client.Run] runs meanwhile.
func (b *Bus) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.client.up:
	}
	for try := 0; ; try++ {
		begun, err := b.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if begun {
			try = 0
		}
		if !b.trouble {
			b.trouble = true
			b.client.log.LogAttrs(ctx, slog.LevelError, "bus: redis is away, messages of other nodes come late", slog.Any("err", err))
		}
		if !rest(ctx, try) {
			return nil
		}
	}
}

// listen takes events over one connection until that ends.
func (b *Bus) listen(ctx context.Context) (begun bool, err error) {
	conn := b.client.get()
	if conn == nil {
		return false, ErrAway
	}
	dedicated, release := conn.Dedicate()
	defer release()
	gone := dedicated.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) {
		if subject, data, ok := unpack(m.Message); ok {
			_ = b.here.Publish(ctx, subject, data) // fails with ctx alone, and that is the end
		}
	}})
	b.mu.Lock()
	for in := range b.wanted { // this connection has none of them yet
		b.moved[in] = struct{}{}
	}
	b.mu.Unlock()
	on := map[bucket]bool{}
	for {
		if err := b.follow(ctx, dedicated, on); err != nil {
			return begun, err
		}
		if !begun {
			begun = true
			if b.trouble {
				b.trouble = false
				b.client.log.LogAttrs(ctx, slog.LevelInfo, "bus: redis is back")
			}
		}
		select {
		case <-ctx.Done():
			return begun, nil
		case err := <-gone:
			return begun, errors.Join(ErrAway, err)
		case <-b.nudge:
		}
	}
}

// follow tells Redis which buckets have come to be wanted, or not any more; on are
// those that it knows of.
func (b *Bus) follow(ctx context.Context, conn rueidis.DedicatedClient, on map[bucket]bool) error {
	var more, less []string
	b.mu.Lock()
	for in := range b.moved {
		switch want := b.wanted[in] > 0; {
		case want && !on[in]:
			on[in] = true
			more = append(more, b.channel(in))
		case !want && on[in]:
			delete(on, in)
			less = append(less, b.channel(in))
		}
	}
	clear(b.moved)
	b.mu.Unlock()
	if len(more) > 0 {
		if err := conn.Do(ctx, conn.B().Subscribe().Channel(more...).Build()).Error(); err != nil {
			return err
		}
	}
	if len(less) > 0 {
		return conn.Do(ctx, conn.B().Unsubscribe().Channel(less...).Build()).Error()
	}
	// A connection that wants nothing must be tried, too.
	return conn.Do(ctx, conn.B().Ping().Build()).Error()
}

func (b *Bus) channel(in bucket) string {
	return b.prefix + ":" + strconv.FormatUint(uint64(in), 10)
}

// bucketOf is the same on every node (FNV-1a).
func bucketOf(subject string) bucket {
	h := uint32(2166136261)
	for i := range len(subject) {
		h = (h ^ uint32(subject[i])) * 16777619
	}
	return bucket(h % buckets)
}
