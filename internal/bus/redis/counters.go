package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/carnetproject/carnet/internal/limit"
)

// The scripts run in Redis, each in one step. What both need is in windowLua.
var (
	//go:embed window.lua
	windowLua string
	//go:embed take.lua
	takeLua string
	//go:embed add.lua
	addLua string

	takeScript = rueidis.NewLuaScript(windowLua + takeLua)
	addScript  = rueidis.NewLuaScript(windowLua + addLua)
)

// Counters count in Redis, by Redis' clock, for all nodes that share it: one hash for
// each ID and kind of rule, with a field for each period, that expires with the last of
// its windows. Redis learns the IDs and nothing else. Safe for concurrent use.
type Counters struct {
	client *Client
	prefix string
}

// NewCounters returns counters whose keys begin with prefix, which sets them apart from
// those of others on the same Redis.
func NewCounters(c *Client, prefix string) *Counters {
	return &Counters{client: c, prefix: prefix}
}

// Take counts an event of id if it is within all quotas of r, in one step. It returns
// where id stands then, and the time by Redis' clock.
func (c *Counters) Take(ctx context.Context, id limit.ID, r *limit.Rule) (limit.Usage, time.Time, error) {
	conn := c.client.get()
	if conn == nil {
		return limit.Usage{}, time.Time{}, ErrAway
	}
	args := append(make([]string, 0, 1+2*limit.NumPeriods), kind(r.Sliding))
	for p, quota := range r.Quotas {
		if quota > 0 {
			args = append(args, strconv.Itoa(p), strconv.Itoa(quota))
		}
	}
	got, err := takeScript.Exec(ctx, conn, []string{c.key(id, r.Sliding)}, args).AsIntSlice()
	if err == nil && len(got) != 3+(len(args)-1)/2*3 {
		err = errUnlike
	}
	if err != nil {
		return limit.Usage{}, time.Time{}, fmt.Errorf("redis: count: %w", err)
	}
	at, rest := moment(got[1:]), got[3:]
	var counts [limit.NumPeriods]limit.Count
	for p, quota := range r.Quotas {
		if quota > 0 {
			counts[p], rest = count(rest), rest[3:]
		}
	}
	return r.Usage(got[0] == 1, at, &counts), at, nil
}

// Add adds what a node has let pass in some windows, and returns what each has come to,
// and the time by Redis' clock. If it fails, some may have been added.
func (c *Counters) Add(ctx context.Context, deltas []limit.Delta) ([]limit.Count, time.Time, error) {
	conn := c.client.get()
	if conn == nil {
		return nil, time.Time{}, ErrAway
	}
	if len(deltas) == 0 {
		return c.time(ctx, conn)
	}
	calls := make([]rueidis.LuaExec, len(deltas))
	for i, d := range deltas {
		calls[i] = rueidis.LuaExec{
			Keys: []string{c.key(d.ID, d.Sliding)},
			Args: []string{
				kind(d.Sliding), strconv.Itoa(int(d.Period)),
				strconv.FormatUint(uint64(d.Until), 10), strconv.FormatUint(uint64(d.N), 10),
			},
		}
	}
	all := make([]limit.Count, len(deltas))
	var at time.Time
	for i, one := range addScript.ExecMulti(ctx, conn, calls...) {
		got, err := one.AsIntSlice()
		if err == nil && len(got) != 5 {
			err = errUnlike
		}
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("redis: add to counts: %w", err)
		}
		at, all[i] = moment(got), count(got[2:])
	}
	return all, at, nil
}

// errUnlike is an answer that the script does not give.
var errUnlike = errors.New("the script has answered something else")

func (c *Counters) time(ctx context.Context, conn rueidis.Client) ([]limit.Count, time.Time, error) {
	got, err := conn.Do(ctx, conn.B().Time().Build()).AsIntSlice()
	if err == nil && len(got) != 2 {
		err = errUnlike
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("redis: time: %w", err)
	}
	return nil, moment(got), nil
}

// key is apart for the two kinds of rule, whose counters are.
func (c *Counters) key(id limit.ID, sliding bool) string {
	return c.prefix + ":limit:" + kind(sliding) + ":" + string(id[:])
}

func kind(sliding bool) string {
	if sliding {
		return "1"
	}
	return "0"
}

// moment is a time in seconds and microseconds.
func moment(v []int64) time.Time { return time.Unix(v[0], v[1]*int64(time.Microsecond)) }

// count is a counter as the scripts return it.
func count(v []int64) limit.Count {
	return limit.Count{Until: bounded(v[0]), N: bounded(v[1]), Last: bounded(v[2])}
}

func bounded(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
