package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dialers is how many connections, or requests for tokens, are on the way at a time.
const dialers = 32

// crowd are the visitors of the chat, of whom one after the other sends something.
type crowd struct {
	addr     string
	visitors []*visitor
	open     int // of them, from the first on
	began    time.Time
	closing  atomic.Bool
	turn     atomic.Int64 // whose turn it is to send
	loop     atomic.Bool  // an answer is a reason to send again

	sent, acked, busy, answered, lost atomic.Int64

	took    []atomic.Uint32 // microseconds of round trips, since the last reset
	samples atomic.Int64    // of them
}

func newCrowd(addr string, tokens []string) *crowd {
	c := &crowd{addr: addr, began: time.Now(), took: make([]atomic.Uint32, 1<<20)}
	for _, t := range tokens {
		c.visitors = append(c.visitors, &visitor{token: t, hears: c.hear})
	}
	return c
}

// sessionTokens asks the token service for one token for each visitor.
func sessionTokens(addr, form string, count int) ([]string, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: dialers}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	tokens := make([]string, count)
	return tokens, each(0, count, func(i int) error {
		resp, err := client.Post("http://"+addr+"/sts", "application/x-www-form-urlencoded", strings.NewReader(form))
		if err != nil {
			return err
		}
		var answer struct{ JWT string }
		err = json.NewDecoder(resp.Body).Decode(&answer)
		_ = resp.Body.Close()
		if err == nil && answer.JWT == "" {
			err = fmt.Errorf("the token service answered %d", resp.StatusCode)
		}
		tokens[i] = answer.JWT
		return err
	})
}

// each does f for the numbers of a range, some at a time.
func each(from, to int, f func(i int) error) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	next.Store(int64(from))
	errs := make([]error, dialers)
	for d := range dialers {
		wg.Go(func() {
			for errs[d] == nil {
				i := int(next.Add(1)) - 1
				if i >= to {
					return
				}
				errs[d] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// connect opens connections until there are so many.
func (c *crowd) connect(count int) error {
	c.closing.Store(false)
	err := each(c.open, count, func(i int) error {
		return c.visitors[i].connect(c.addr, func(error) {
			if !c.closing.Load() {
				c.lost.Add(1)
			}
		})
	})
	c.open = count
	return err
}

func (c *crowd) close() {
	c.closing.Store(true)
	for _, v := range c.visitors[:c.open] {
		v.close()
	}
	c.open = 0
}

var (
	ackPrefix     = []byte(`{"type":"ack"`)
	nackPrefix    = []byte(`{"type":"nack"`)
	messagePrefix = []byte(`{"type":"message"`)
)

// hear takes a frame. The bot's messages say when what they answer was sent.
func (c *crowd) hear(_ *visitor, f []byte) {
	switch {
	case bytes.HasPrefix(f, ackPrefix):
		c.acked.Add(1)
		return
	case bytes.HasPrefix(f, nackPrefix):
		c.busy.Add(1)
	case bytes.HasPrefix(f, messagePrefix):
		text, ok := member(f, `"from":"bot"`, `"text":"`)
		if !ok {
			return
		}
		at, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return
		}
		c.answered.Add(1)
		if i := c.samples.Add(1) - 1; i < int64(len(c.took)) {
			c.took[i].Store(uint32(time.Since(c.began).Microseconds() - at))
		}
	default:
		return
	}
	if c.loop.Load() {
		c.send()
	}
}

// send has the next visitor say something under an id that says when.
func (c *crowd) send() {
	v := c.visitors[int(c.turn.Add(1))%c.open]
	var buf [128]byte
	text := append(buf[:0], `{"type":"send","id":"`...)
	text = strconv.AppendInt(text, time.Since(c.began).Microseconds(), 10)
	text = append(text, `","body":{"text":"How long does this take?"}}`...)
	c.sent.Add(1)
	_ = v.write(frameText, text) // the reader tells of a connection that is lost
}

// reset forgets what was counted so far.
func (c *crowd) reset() {
	for _, n := range []*atomic.Int64{&c.sent, &c.acked, &c.busy, &c.answered, &c.samples} {
		n.Store(0)
	}
}

// pace sends at a steady rate, whatever becomes of it.
func (c *crowd) pace(ctx context.Context, rate float64, d time.Duration) {
	start := time.Now()
	for n := 0; ctx.Err() == nil; {
		elapsed := time.Since(start)
		if elapsed >= d {
			return
		}
		for ; n < int(elapsed.Seconds()*rate); n++ {
			c.send()
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// press sends again whenever something is answered, so many at a time, and returns how
// many were answered a second.
func (c *crowd) press(ctx context.Context, many int, d time.Duration) float64 {
	c.loop.Store(true)
	start := time.Now()
	for range many {
		c.send()
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	rate := float64(c.answered.Load()) / time.Since(start).Seconds()
	c.loop.Store(false)
	return rate
}

// drain waits until everything has its answer, or nothing comes any more.
func (c *crowd) drain(ctx context.Context) error {
	for last, still := int64(-1), 0; still < 200; still++ {
		done := c.answered.Load() + c.busy.Load()
		if done >= c.sent.Load() {
			return ctx.Err()
		}
		if done != last {
			last, still = done, 0
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("of %d messages %d were answered and %d refused, and nothing comes any more",
		c.sent.Load(), c.answered.Load(), c.busy.Load())
}

// round trips in milliseconds, shortest first.
func (c *crowd) roundTrips() []float64 {
	all := make([]float64, min(c.samples.Load(), int64(len(c.took))))
	for i := range all {
		all[i] = float64(c.took[i].Load()) / 1000
	}
	slices.Sort(all)
	return all
}

// quantile of what is in order.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
