package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/carnetproject/carnet/internal/fault"
)

const (
	maxQueue = 1024 // writes that wait; beyond, callers wait to get in
	maxBatch = 256  // writes of one commit
)

// errStopped refuses writes after Run has ended: nothing was written.
var errStopped = fault.New(fault.Unavailable, "the store is shutting down")

// write is one change that waits for its commit.
type write struct {
	apply func(context.Context, *sql.Tx) error
	whole bool        // see writeWhole
	brief bool        // see writeBrief
	taken atomic.Bool // by the writer, or back by its caller: by one of them
	done  chan error  // holds one
}

// write hands apply to the writer and waits for the commit. It may run beside
// others in one transaction, under a savepoint of its own: it never sees half of
// another's, and fails alone.
//
// When ctx ends before apply has begun, nothing is written and ctx's error comes
// back; after that the outcome is waited for, so that an error always means
// "not written", never "perhaps". The exception is a commit that the operating
// system reports as failed.
func (s *Store) write(ctx context.Context, what string, apply func(context.Context, *sql.Tx) error) error {
	return s.submit(ctx, what, &write{apply: apply, done: make(chan error, 1)})
}

// writeWhole is write without the savepoint, which costs a small write a third of its
// speed. So apply must refuse, with a fault, before it has written anything: any
// other error of its is one of the database, and ends all writes of the transaction.
func (s *Store) writeWhole(ctx context.Context, what string, apply func(context.Context, *sql.Tx) error) error {
	return s.submit(ctx, what, &write{apply: apply, whole: true, done: make(chan error, 1)})
}

// writeBrief is write for what a power cut may take back: nobody has been told more of
// it than a lease that would soon run out. Its commit does not wait for the disk unless
// another write shares it. A killed process loses nothing.
func (s *Store) writeBrief(ctx context.Context, what string, apply func(context.Context, *sql.Tx) error) error {
	return s.submit(ctx, what, &write{apply: apply, brief: true, done: make(chan error, 1)})
}

func (s *Store) submit(ctx context.Context, what string, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return errStopped
	}
	select {
	case err := <-w.done:
		return explain(what, err)
	case <-ctx.Done():
		if w.take() {
			return ctx.Err()
		}
	case <-s.stopped:
		if w.take() {
			return errStopped
		}
	}
	return explain(what, <-w.done)
}

// change is a write that other nodes must notice: it moves the version.
func (s *Store) change(ctx context.Context, what string, apply func(context.Context, *sql.Tx) error) error {
	return s.write(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		if err := apply(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE version SET n = n + 1`)
		return err
	})
}

// take claims w. Whoever gets true decides what becomes of it.
func (w *write) take() bool { return w.taken.CompareAndSwap(false, true) }

// Run commits writes until ctx ends, then those that are already queued, and
// returns nil. It can run once.
func (s *Store) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return errors.New("store runs already or has ended")
	}
	defer close(s.stopped)
	work := context.WithoutCancel(ctx) // a commit under way is not given up
	for {
		select {
		case w := <-s.queue:
			s.commit(work, s.batch(w))
		case <-ctx.Done():
			for range maxQueue / maxBatch {
				s.commit(work, s.batch())
			}
			return nil
		}
	}
}

// batch adds to the first writes those that are queued, up to maxBatch.
func (s *Store) batch(first ...*write) []*write {
	batch := first
	for len(batch) < maxBatch {
		select {
		case w := <-s.queue:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit applies the batch in one transaction and tells each write its outcome.
func (s *Store) commit(ctx context.Context, batch []*write) {
	if len(batch) == 0 {
		return
	}
	tx, err := s.begin(ctx, slices.ContainsFunc(batch, func(w *write) bool { return !w.brief }))
	mine := batch[:0]
	for _, w := range batch {
		if w.take() {
			mine = append(mine, w)
		}
	}
	outcomes := make([]error, len(mine))
	for i := 0; err == nil && i < len(mine); i++ {
		if mine[i].whole {
			outcomes[i], err = applyWhole(ctx, tx, mine[i])
		} else {
			outcomes[i], err = applyAlone(ctx, tx, mine[i])
		}
	}
	switch {
	case tx == nil: // did not begin
	case err != nil:
		err = errors.Join(err, tx.Rollback())
	default:
		err = tx.Commit()
	}
	if err != nil {
		s.chat.forget()
	}
	for i, w := range mine {
		if outcomes[i] == nil {
			outcomes[i] = err
		}
		w.done <- outcomes[i]
	}
}

// begin opens a transaction whose commit waits for the disk, or does not.
func (s *Store) begin(ctx context.Context, durable bool) (*sql.Tx, error) {
	if s.durable != durable {
		mode := `PRAGMA synchronous = NORMAL`
		if durable {
			mode = `PRAGMA synchronous = FULL`
		}
		if _, err := s.writer.ExecContext(ctx, mode); err != nil {
			return nil, err
		}
		s.durable = durable
	}
	return s.writer.BeginTx(ctx, nil)
}

// applyWhole runs one write as part of the transaction. An error that is no refusal
// is the second one: it ends the batch.
func applyWhole(ctx context.Context, tx *sql.Tx, w *write) (outcome, broken error) {
	outcome = w.apply(ctx, tx)
	if outcome != nil && fault.KindOf(outcome) == fault.Internal {
		broken = fmt.Errorf("in a shared transaction: %w", outcome)
	}
	return outcome, broken
}

// applyAlone runs one write under a savepoint. A broken transaction (disk full,
// I/O error) is the second error: it ends the batch.
func applyAlone(ctx context.Context, tx *sql.Tx, w *write) (outcome, broken error) {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT one`); err != nil {
		return err, fmt.Errorf("begin savepoint: %w", err)
	}
	outcome = w.apply(ctx, tx)
	if outcome != nil {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO one`); err != nil {
			return outcome, fmt.Errorf("undo a write: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, `RELEASE one`); err != nil {
		return outcome, fmt.Errorf("end savepoint: %w", err)
	}
	return outcome, nil
}
