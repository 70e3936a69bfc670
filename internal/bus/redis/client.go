// Package redis is what nodes share through Redis, or Valkey, which speaks the same: a
// bus between them, and the counts of their limits. What the bus carries are hints, so that
// a Redis that is away costs time, and each node counts alone.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/carnetproject/carnet/internal/fault"
)

// ErrAway is that Redis has not been reached yet, or not for a moment.
var ErrAway = errors.New("redis: not reached")

const (
	// dialTimeout bounds how long a connection may take to be made.
	dialTimeout = time.Second
	// silence is how long Redis may say nothing to a command, and how often a
	// connection without one is tried, so that one that is dead is found out.
	silence = 2 * time.Second
	// maxBackoff bounds the time between two tries to connect.
	maxBackoff = 2 * time.Second
)

// Client is a node's way to Redis. It connects in [Client.Run], and goes on trying when
// Redis is away. Safe for concurrent use.
type Client struct {
	option rueidis.ClientOption
	log    *slog.Logger

	mu   sync.RWMutex
	conn rueidis.Client // nil: never connected, or ended
	up   chan struct{}  // closed with the first connection
}

// New returns a client of the Redis at url: redis:// or valkey://, rediss:// or valkeys://
// (TLS), or unix://, with user, password and database as in redis-cli. redis://a:1?addr=b:2
// names several nodes of a cluster, or with &master_set=name its sentinels.
func New(url string, log *slog.Logger) (*Client, error) {
	option, err := rueidis.ParseURL(url)
	if err != nil {
		// The parser's error may quote the URL, and that a password.
		return nil, fault.New(fault.Invalid, "must be redis://[user:password@]host:port[/database], rediss:// or unix://")
	}
	option.Dialer.Timeout, option.Dialer.KeepAlive = dialTimeout, silence
	option.ConnWriteTimeout = silence
	option.ClientName = "carnet"
	option.DisableCache = true
	option.DisableRetry = true // who asks has less patience than the client would
	return &Client{option: option, log: log, up: make(chan struct{})}, nil
}

// Run keeps the connection until ctx ends, and returns nil.
func (c *Client) Run(ctx context.Context) error {
	for try := 0; ; try++ {
		conn, err := rueidis.NewClient(c.option)
		if err == nil {
			c.set(conn)
			close(c.up)
			<-ctx.Done()
			c.set(nil)
			conn.Close()
			return nil
		}
		if try == 0 {
			c.log.LogAttrs(ctx, slog.LevelError, "redis cannot be reached: trying again", slog.Any("err", err))
		}
		if !rest(ctx, try) {
			return nil
		}
	}
}

// Ping is nil if Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	conn := c.get()
	if conn == nil {
		return ErrAway
	}
	if err := conn.Do(ctx, conn.B().Ping().Build()).Error(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

func (c *Client) get() rueidis.Client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.conn
}

func (c *Client) set(conn rueidis.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
}

// rest waits before the try that follows, longer each time and never as long as others
// do. It is false if ctx has ended.
func rest(ctx context.Context, try int) bool {
	most := min(maxBackoff, 50*time.Millisecond<<min(try, 10))
	t := time.NewTimer(most/2 + rand.N(most/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
