package chat

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/trace"
)

// maxBatch is how many messages of a conversation share a commit.
const maxBatch = 64

// enqueue puts a send into the mailbox or says why not. The room is locked.
func (r *room) enqueue(s *Session, d Draft) *fault.Error {
	it := send{s, d}
	if why := r.refusal(it); why != nil {
		return why
	}
	s.pending = append(s.pending, d.ID)
	r.queue = append(r.queue, it)
	r.work()
	return nil
}

// work starts the mailbox, unless it runs or has nothing to do. The room is locked.
func (r *room) work() {
	if !r.working && (len(r.queue) > 0 || r.read > r.saved || r.typing || r.notice != nil) {
		r.working = r.engine.crew.Start(r.workAll)
	}
}

// workAll does what there is to do, one thing at a time, messages first. While there are
// some the other nodes are not told of typing: the messages tell more.
func (r *room) workAll(ctx context.Context) {
	defer r.engine.vacate(r)
	for {
		r.mu.Lock()
		batch, read, typing := r.next(), int64(0), r.typing
		if r.read > r.saved {
			read = r.read
		}
		shown := r.notice
		r.typing, r.notice = false, nil
		if ctx.Err() != nil || len(batch) == 0 && read == 0 && !typing && shown == nil {
			r.working = false
			r.mu.Unlock()
			r.release(batch)
			return
		}
		r.mu.Unlock()

		if shown != nil {
			r.engine.publish(ctx, r.id, event{Secure: (*notice)(shown)})
		}
		switch {
		case len(batch) > 0:
			r.take(ctx, batch)
		case typing:
			r.engine.publish(ctx, r.id, event{Typing: FromUser})
		}
		if read > 0 && !r.save(ctx, read) && r.rest() {
			return // the next sweep tries again
		}
	}
}

func (r *room) atWork() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.working
}

// rest ends the work if no message waits.
func (r *room) rest() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.working = len(r.queue) > 0
	return !r.working
}

// next takes a batch off the queue: no more than a gate lets wait, where one decides.
func (r *room) next() []send {
	n := min(len(r.queue), maxBatch)
	if r.choosy() {
		n = min(n, r.engine.c.Limits.Window)
	}
	batch := r.queue[:n:n]
	if r.queue = r.queue[n:]; len(r.queue) == 0 {
		r.queue = nil
	}
	return batch
}

// take brings in what may come in of a batch.
func (r *room) take(ctx context.Context, batch []send) {
	defer r.release(batch)
	ctx, span := trace.Start(ctx, "chat send")
	defer span.End()
	span.Set("carnet.bot", string(r.with.bot))
	span.Count("carnet.messages", len(batch))
	if r.choosy() {
		r.decide(ctx, batch)
		return
	}
	r.commit(ctx, batch)
}

// commit brings a batch into the order, and tells everyone.
func (r *room) commit(ctx context.Context, batch []send) {
	e := r.engine
	drafts := make([]Draft, len(batch))
	for i, it := range batch {
		drafts[i] = it.draft
	}
	r.mu.Lock()
	known := r.known
	r.mu.Unlock()
	owes := batch[0].session.conv.Bot
	worker := e.c.Hire(owes)
	ms, turn, err := r.append(ctx, drafts, e.now(), worker.Until())
	if turn != nil {
		turn.Cause = trace.CauseOf(ctx)
	}
	worker.Answer(turn)
	if err != nil {
		r.refuse(ctx, batch, err)
		return
	}
	if turn == nil {
		e.c.Wake(owes)
	}

	ordered := slices.SortedFunc(slices.Values(ms), func(a, b Message) int { return cmp.Compare(a.Seq, b.Seq) })
	ordered = slices.CompactFunc(ordered, func(a, b Message) bool { return a.Seq == b.Seq })
	for _, m := range ordered {
		if m.Seq > known { // it was not there before
			r.with.owed.Add(1)
		}
	}
	r.mu.Lock()
	for i, it := range batch {
		it.session.ack(ms[i])
	}
	r.deliver(ordered)
	r.mu.Unlock()
	e.publish(ctx, r.id, said(ordered))
}

// append commits drafts, or gives up when that takes too long.
func (r *room) append(ctx context.Context, drafts []Draft, at, until time.Time) ([]Message, *bot.Turn, error) {
	within, span := trace.Start(ctx, storeAppend)
	within, cancel := context.WithTimeout(within, commitWithin)
	defer cancel()
	ms, turn, err := r.engine.c.Store.AppendMessages(within, r.id, drafts, at, until)
	r.engine.stored(ctx, span, err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = busy("the message could not be stored in time")
	}
	return ms, turn, err
}

// storeAppend is the span of a commit that messages wait for.
const storeAppend = "store append"

// stored ends that span, and notes how the store fares.
func (e *Engine) stored(ctx context.Context, s trace.Span, err error) {
	e.storeTrouble.note(ctx, err)
	if err != nil {
		s.Fail(fault.KindOf(err).String())
	}
	s.End()
}

// refuse tells the senders of a batch that it was not let in. A message that was
// committed all the same, and seen meanwhile, has its answer already.
func (r *room) refuse(ctx context.Context, batch []send, err error) {
	if ctx.Err() != nil {
		return // the node stops: who sent it asks the next one
	}
	refusal, ok := errors.AsType[*fault.Error](err)
	if !ok || refusal.Kind == fault.Internal {
		r.engine.c.Log.LogAttrs(ctx, slog.LevelDebug, "message not taken", slog.String("conversation", string(r.id)), slog.Any("err", err))
		refusal = &fault.Error{Kind: fault.Unavailable, Msg: "the message cannot be taken now", RetryAfter: retryBusy, Err: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, it := range batch {
		if it.session.settle(it.draft.ID) {
			it.session.sink.Nack(it.draft.ID, refusal)
		}
	}
	if errors.Is(err, errEnded) {
		r.tell(nil, func(k Sink) { k.Reconnect(rand.N(minSpread)) })
	}
}

// save brings the mark of what the user has read to the store and to other nodes.
func (r *room) save(ctx context.Context, seq int64) bool {
	err := r.engine.c.Store.SetRead(ctx, r.id, seq)
	r.engine.storeTrouble.note(ctx, err)
	if err != nil {
		return false
	}
	r.mu.Lock()
	r.saved = max(r.saved, seq)
	r.mu.Unlock()
	r.engine.publish(ctx, r.id, event{Read: seq})
	return true
}
