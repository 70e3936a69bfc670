package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Use is what one day saw of a consumer.
type Use struct {
	ConsumerID string
	Day        time.Time // its beginning, UTC
	Requests   int64
	Last       time.Time // the last request
	Seen       Sketch    // its credentials
}

// uses is the part of the store that remembers use.
type uses interface {
	// AddUses adds to what is there of the same consumer and day. Consumers that are no
	// longer there are passed over.
	AddUses(ctx context.Context, all []Use) error
	// Uses lists a consumer's days, oldest first.
	Uses(ctx context.Context, consumerID string) ([]Use, error)
	// PruneUses deletes the days before one.
	PruneUses(ctx context.Context, before time.Time) error
}

const (
	flushEvery = time.Minute
	maxTraces  = 4096 // consumers whose use is traced between two flushes
	keepUses   = 35 * 24 * time.Hour
)

// tracing is the use that the store does not know of yet.
type tracing struct {
	mu     sync.Mutex
	active []*holder // that have a trace
	unsent []Use     // the store was down
}

// trace is the use of one consumer since the last flush. Whoever adds takes no lock.
type trace struct {
	requests atomic.Int64
	last     atomic.Int64 // seconds since 1970
	few      [16]atomic.Uint64
	many     atomic.Pointer[[registers / 4]atomic.Uint32] // four registers a word; nil while few suffice
}

// Used notes that a request was admitted by c. It costs some 20 ns and allocates once a
// minute and consumer. What is noted reaches the store within a minute and may be lost
// with the process; the day may be off by the same minute. Of more than 4,096 consumers
// in one minute, the rest are not noted.
func (r *Registry) Used(c *Credential, now time.Time) {
	if c.holder == nil {
		return
	}
	t := c.holder.trace.Load()
	if t == nil {
		if t = r.begin(c.holder); t == nil {
			return
		}
	}
	t.requests.Add(1)
	if s := now.Unix(); t.last.Load() < s {
		t.last.Store(s)
	}
	t.note(c.mark)
}

// begin gives h a trace, nil if there are too many.
func (r *Registry) begin(h *holder) *trace {
	r.tracing.mu.Lock()
	defer r.tracing.mu.Unlock()
	if t := h.trace.Load(); t != nil {
		return t
	}
	if len(r.tracing.active) == maxTraces {
		return nil
	}
	t := new(trace)
	h.trace.Store(t)
	r.tracing.active = append(r.tracing.active, h)
	return t
}

func (t *trace) note(mark uint64) {
	if many := t.many.Load(); many != nil {
		raise(many, mark)
		return
	}
	for i := range t.few {
		if t.few[i].Load() == 0 && t.few[i].CompareAndSwap(0, mark) || t.few[i].Load() == mark {
			return
		}
	}
	t.many.CompareAndSwap(nil, new([registers / 4]atomic.Uint32))
	many := t.many.Load()
	for i := range t.few {
		raise(many, t.few[i].Load())
	}
	raise(many, mark)
}

func raise(many *[registers / 4]atomic.Uint32, mark uint64) {
	register, rank := place(mark)
	word, shift := &many[register/4], register%4*8
	for {
		old := word.Load()
		if uint8(old>>shift) >= rank {
			return
		}
		if word.CompareAndSwap(old, old&^(0xff<<shift)|uint32(rank)<<shift) {
			return
		}
	}
}

func (t *trace) sketch() Sketch {
	many := t.many.Load()
	var s Sketch
	if many == nil {
		for i := range t.few {
			if mark := t.few[i].Load(); mark != 0 {
				s = s.Add(mark)
			}
		}
		return s
	}
	s = make(Sketch, registers)
	for r := range s {
		s[r] = uint8(many[r/4].Load() >> (r % 4 * 8))
	}
	return s
}

// flush gives the store the use since the last time. One call at a time.
func (r *Registry) flush(ctx context.Context) error {
	r.tracing.mu.Lock()
	active, all := r.tracing.active, r.tracing.unsent
	r.tracing.active, r.tracing.unsent = nil, nil
	r.tracing.mu.Unlock()
	for _, h := range active {
		t := h.trace.Swap(nil)
		last := time.Unix(t.last.Load(), 0).UTC()
		all = append(all, Use{
			ConsumerID: h.id, Day: last.Truncate(24 * time.Hour), Requests: t.requests.Load(), Last: last, Seen: t.sketch(),
		})
	}
	if len(all) == 0 {
		return nil
	}
	err := r.store.AddUses(ctx, all)
	if err != nil {
		r.tracing.mu.Lock()
		r.tracing.unsent = all[max(0, len(all)-maxTraces):]
		r.tracing.mu.Unlock()
	}
	return wrap("save use of consumers", err)
}

// Uses lists the days on which the consumer was used, oldest first. It knows of those
// of the last five weeks.
func (r *Registry) Uses(ctx context.Context, name string) ([]Use, error) {
	i, err := r.Consumer(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := r.store.Uses(ctx, i.ID)
	return all, wrap("read use of consumer", err)
}
