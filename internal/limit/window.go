package limit

import (
	"math/bits"
	"time"
)

// Window is where a key stands in the present window of one period; the zero Window
// is that of a period without a quota.
type Window struct {
	Limit     int
	Remaining int // how many more events would pass now
	// Reset is how long until the window ends; under a sliding rule that has nothing
	// remaining, until an event can pass.
	Reset time.Duration
}

// frame is the window of a period at a moment in it, with the counter for it.
type frame struct {
	at, start, end int64  // nanoseconds of the Unix epoch
	until          uint32 // when its counter is of no more use, in seconds
	counter        *counter
}

// set makes f the frame of p at a moment in nanoseconds of the Unix epoch.
func (f *frame) set(p Period, at int64, sliding bool) {
	start, end := p.span(at / int64(time.Second))
	until := end
	if sliding {
		_, until = p.span(end)
	}
	f.at, f.start, f.end, f.until = at, start*int64(time.Second), end*int64(time.Second), uint32(until)
}

// used is what counts towards the quota: the events in f, and of those in the window
// before it the share of f that is still to come, rounded up.
func (f *frame) used() int64 {
	if f.counter == nil {
		return 0
	}
	n := int64(f.counter.n)
	if f.counter.last > 0 {
		n += share(f.counter.last, f.end-f.at, f.end-f.start)
	}
	return n
}

// share is n·part/whole, rounded up. part is at most whole.
func share(n uint32, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	quo, rem := bits.Div64(hi, lo, uint64(whole))
	if rem > 0 {
		quo++
	}
	return int64(quo)
}

// usage is where f stands in regard to a quota.
func (f *frame) usage(quota int, sliding bool) Window {
	u := Window{Limit: quota, Remaining: max(quota-int(f.used()), 0), Reset: time.Duration(f.end - f.at)}
	if sliding && u.Remaining == 0 {
		u.Reset = f.wait(int64(quota))
	}
	return u
}

// wait is how long until an event passes under a sliding rule, if none comes between.
func (f *frame) wait(quota int64) time.Duration {
	whole := f.end - f.start
	if room := quota - 1 - int64(f.counter.n); room >= 0 {
		return time.Duration(fades(f.counter.last, room, whole) - (f.at - f.start))
	}
	return time.Duration(f.end - f.at + fades(f.counter.n, quota-1, whole))
}

// fades is how far into a window the share of n events in the one before it is down
// to room.
func fades(n uint32, room, whole int64) int64 {
	if int64(n) <= room {
		return 0
	}
	hi, lo := bits.Mul64(uint64(whole), uint64(room))
	quo, _ := bits.Div64(hi, lo, uint64(n))
	return whole - int64(quo)
}
