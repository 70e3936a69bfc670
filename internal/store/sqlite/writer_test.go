package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/user"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "carnet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run runs the store until the returned function is called.
func run(t *testing.T, s *Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func named(name string) user.User { return user.User{ID: user.ID(name), Name: name} }

func names(t *testing.T, s *Store) (names []string) {
	t.Helper()
	users, err := s.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names
}

// enqueue puts writes in the queue without waiting for them.
func enqueue(s *Store, applies ...func(context.Context, *sql.Tx) error) (queued []*write) {
	for _, apply := range applies {
		w := &write{apply: apply, done: make(chan error, 1)}
		s.queue <- w
		queued = append(queued, w)
	}
	return queued
}

func insert(name string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO users (id, name, password, disabled, scopes) VALUES (?1, ?1, '', 0, '[]')`, name)
		return err
	}
}

func TestWritesShareCommits(t *testing.T) {
	t.Parallel()
	s := open(t)
	transactions := map[*sql.Tx]int{}
	var applies []func(context.Context, *sql.Tx) error
	for i := range maxBatch + 10 {
		applies = append(applies, func(ctx context.Context, tx *sql.Tx) error {
			transactions[tx]++
			return insert(fmt.Sprint(i))(ctx, tx)
		})
	}
	queued := enqueue(s, applies...)
	stop := run(t, s)
	for _, w := range queued {
		if err := <-w.done; err != nil {
			t.Error(err)
		}
	}
	stop()
	if len(transactions) != 2 {
		t.Errorf("%d writes took %d transactions, want 2", len(queued), len(transactions))
	}
	if got := len(names(t, s)); got != len(queued) {
		t.Errorf("%d rows of %d writes", got, len(queued))
	}
}

func TestWriteWaitsForRun(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.AddUser(ctx, named("early")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before Run: error = %v, want %v", err, context.DeadlineExceeded)
	}
	run(t, s)
	if err := s.AddUser(t.Context(), named("later")); err != nil {
		t.Error(err)
	}
	if got := names(t, s); len(got) != 1 || got[0] != "later" {
		t.Errorf("users are %v: the write that was given up happened", got)
	}
}

func TestFullQueueWaitsForContext(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range maxQueue {
		enqueue(s, insert(fmt.Sprint(i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.AddUser(ctx, named("one too many")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want %v", err, context.DeadlineExceeded)
	}
	stop := run(t, s)
	stop()
	if got := len(names(t, s)); got != maxQueue {
		t.Errorf("%d rows, want the %d that were queued when Run ended", got, maxQueue)
	}
}

func TestWriteAfterRun(t *testing.T) {
	t.Parallel()
	s := open(t)
	run(t, s)()
	if err := s.AddUser(t.Context(), named("late")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error = %v, want kind %v", err, fault.Unavailable)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("it ran twice")
	}
	if got := names(t, s); got != nil {
		t.Errorf("users are %v, want none", got)
	}
}

// TestStopUnderLoad ends Run while many write: what returned nil is there, what
// returned an error is not.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	for range 10 {
		s := open(t)
		stop := run(t, s)
		var mu sync.Mutex
		written := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				name := fmt.Sprint(i)
				err := s.AddUser(t.Context(), named(name))
				if err != nil && fault.KindOf(err) != fault.Unavailable {
					t.Errorf("error = %v, want kind %v", err, fault.Unavailable)
				}
				mu.Lock()
				defer mu.Unlock()
				written[name] = err == nil
			})
		}
		stop()
		wg.Wait()
		there := map[string]bool{}
		for _, name := range names(t, s) {
			there[name] = true
		}
		for name, want := range written {
			if there[name] != want {
				t.Errorf("%s: written %t, there %t", name, want, there[name])
			}
		}
	}
}

// TestBrokenTransaction lets a write destroy the transaction that others share.
func TestBrokenTransaction(t *testing.T) {
	t.Parallel()
	s := open(t)
	queued := enqueue(s, insert("before"), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `ROLLBACK`)
		return err
	}, insert("after"))
	run(t, s)
	for i, w := range queued {
		if err := <-w.done; err == nil {
			t.Errorf("write %d of the broken transaction returned nil", i)
		}
	}
	if err := s.AddUser(t.Context(), named("next")); err != nil {
		t.Errorf("the next transaction: %v", err)
	}
	if got := names(t, s); len(got) != 1 || got[0] != "next" {
		t.Errorf("users are %v, want the next one alone", got)
	}
}

// TestAnotherProcessHoldsTheLock waits for it, and lets who does not want to wait go.
func TestAnotherProcessHoldsTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	other, err := connect(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	lock, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.AddUser(ctx, named("impatient")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want %v", err, context.DeadlineExceeded)
	}
	if got := names(t, s); got != nil {
		t.Errorf("users are %v, want none: reads do not wait", got)
	}
	outcome := make(chan error, 1)
	go func() { outcome <- s.AddUser(t.Context(), named("patient")) }()
	if err := lock.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
	if got := names(t, s); len(got) != 1 || got[0] != "patient" {
		t.Errorf("users are %v, want the patient one alone", got)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := explain("nothing", nil); err != nil {
		t.Errorf("explain(nil) = %v", err)
	}
	conflict := fault.New(fault.Conflict, "taken")
	_, syntax := s.writer.ExecContext(t.Context(), `NONSENSE`)
	_, readOnly := s.readers.ExecContext(t.Context(), `DELETE FROM users`)
	for name, tc := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"a fault":               {conflict, fault.Conflict},
		"a mistake of ours":     {syntax, fault.Internal},
		"a write of a reader":   {readOnly, fault.Unavailable},
		"another package's":     {errors.New("x"), fault.Internal},
		"the caller's patience": {context.Canceled, fault.Internal},
	} {
		got := explain("test", tc.err)
		if fault.KindOf(got) != tc.want || !errors.Is(got, tc.err) {
			t.Errorf("%s: explain() = %v of kind %v, want kind %v around %v", name, got, fault.KindOf(got), tc.want, tc.err)
		}
	}
}

// TestBriefWrites shows which commits wait for the disk: those with any write that is
// not brief.
func TestBriefWrites(t *testing.T) {
	t.Parallel()
	s := open(t)
	var modes []int
	mode := func(ctx context.Context, tx *sql.Tx) error {
		var m int
		err := tx.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&m)
		modes = append(modes, m)
		return err
	}
	for _, batch := range [][]bool{{false}, {true}, {true, true}, {true, false}, {true}, {false, true}} {
		var writes []*write
		for _, brief := range batch {
			writes = append(writes, &write{apply: mode, brief: brief, done: make(chan error, 1)})
		}
		modes = modes[:0]
		s.commit(t.Context(), writes)
		want := 1 // NORMAL
		for _, brief := range batch {
			if !brief {
				want = 2 // FULL
			}
		}
		for i, w := range writes {
			if err := <-w.done; err != nil || modes[i] != want {
				t.Errorf("batch %v: write %d ran with synchronous %d, %v; want %d", batch, i, modes[i], err, want)
			}
		}
	}
}
