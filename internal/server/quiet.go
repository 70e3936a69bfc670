package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The runtime collects when the heap has doubled, and keeps the memory for the next time.
// That is right under load. But a node whose connections are idle would come to hold
// twice what they need, since even little garbage adds up to that.
const (
	quietEvery   = 2 * time.Second
	quietPart    = 8       // of what is live: less garbage stays
	quietGarbage = 4 << 20 // bytes; less stays, however little is live
)

// tidy gives back what garbage takes whenever there is little to do, until ctx ends.
func tidy(ctx context.Context) error {
	tick := time.NewTicker(quietEvery)
	defer tick.Stop()
	for before := weigh(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := weigh()
		if now.idle(before) {
			debug.FreeOSMemory()
			now = weigh()
		}
		before = now
	}
}

// heap is what the runtime says of its own.
type heap struct {
	cycles uint64 // collections so far
	live   uint64 // bytes that the last one has left
	held   uint64 // bytes now, garbage included
}

func weigh() heap {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()}
}

// idle tells whether there is garbage that nobody will collect soon: in no hurry, since
// the heap was not collected since before.
func (h heap) idle(before heap) bool {
	return h.cycles == before.cycles && h.held > h.live+max(h.live/quietPart, quietGarbage)
}
