package consumer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

func TestDecommission(t *testing.T) {
	t.Parallel()
	d := openData(t)
	here, there := newNode(t, d), newNode(t, d)
	ctx := t.Context()
	here.add(t, "ann", "k", "s")
	here.add(t, "bob", "other", "s")
	there.follow(t)
	in := func(want bool, when string) {
		t.Helper()
		for name, n := range map[string]*node{"here": here, "there": there} {
			if got := proves(t, n.find(t, "k"), "s"); got != want {
				t.Errorf("%s, %s: the credential is good: %v", when, name, got)
			}
			if c, err := n.FindConsumer(ctx, "ann"); err != nil || (c != nil) != want {
				t.Errorf("%s, %s: FindConsumer() = %v, %v", when, name, c, err)
			}
			if n.find(t, "other") == nil {
				t.Errorf("%s, %s: another consumer's credential is refused", when, name)
			}
		}
	}
	pass := func(by time.Duration) {
		here.pass(by)
		there.pass(by)
	}
	in(true, "before")
	i, err := here.Decommission(ctx, "ann", here.in(time.Hour))
	if err != nil || !i.Ends.Equal(here.in(time.Hour)) {
		t.Fatalf("Decommission() = %+v, %v", i, err)
	}
	there.follow(t)
	in(true, "in the grace time")
	pass(time.Hour - time.Second)
	here.follow(t)
	there.follow(t)
	before := []uint64{here.Generation(), there.Generation()}
	in(true, "at its end")
	pass(time.Second)
	in(false, "after it")
	here.follow(t)
	there.follow(t)
	if here.Generation() == before[0] || there.Generation() == before[1] {
		t.Error("tokens that were verified before are not looked at again")
	}
	if _, err := here.Decommission(ctx, "ann", time.Time{}); err != nil {
		t.Fatal(err)
	}
	there.follow(t)
	in(true, "undone")

	if _, err := here.Decommission(ctx, "ann", here.now()); err != nil {
		t.Fatal(err)
	}
	if here.find(t, "k") != nil {
		t.Error("decommissioned at once, it is still good on this node")
	}
	_, err = here.Decommission(ctx, "nobody", here.now())
	wantKind(t, err, fault.NotFound, "")
}

// TestRunTidies has a consumer go whose time to be brought back is over.
func TestRunTidies(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	ctx := t.Context()
	n.add(t, "ann", "k", "s")
	n.add(t, "bob", "other", "s")
	if _, err := n.Decommission(ctx, "ann", n.in(-consumer.UndoFor)); err != nil {
		t.Fatal(err)
	}
	n.runOnce(t)
	if _, err := n.Consumer(ctx, "ann"); err != nil {
		t.Errorf("it is gone too early: %v", err)
	}
	n.pass(time.Second)
	n.runOnce(t)
	_, err := n.Consumer(ctx, "ann")
	wantKind(t, err, fault.NotFound, "")
	if n.find(t, "k") != nil || n.find(t, "other") == nil {
		t.Error("not just its credentials have gone")
	}
	if done, err := n.data.Purge(ctx, 1); !done || err != nil {
		t.Errorf("its rows are still there: %v", err)
	}
}

// runOnce runs the registry's work in the background until it has done all of it once.
func (n *node) runOnce(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, func(err error) { t.Errorf("background: %v", err) }) }()
	<-n.data.tidied
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	ctx := t.Context()
	for _, key := range []string{"a", "b", "c"} {
		n.add(t, "ann", key, "s")
	}
	n.add(t, "bob", "d", "s")
	a, b := n.find(t, "a"), n.find(t, "b")
	for range 10 {
		n.Used(a, n.now())
	}
	n.Used(b, n.in(time.Second))
	n.Used(consumer.NewCredential(consumer.New("file", "", nil), "f", consumer.Material{}, nil), n.now())
	n.runOnce(t)
	n.data.down.Store(true)
	n.Used(a, n.in(time.Hour))
	n.runOnceDown(t)
	n.data.down.Store(false)
	n.Used(n.find(t, "c"), n.in(24*time.Hour))
	n.runOnce(t)

	got, err := n.Uses(ctx, "ann")
	if err != nil || len(got) != 2 {
		t.Fatalf("Uses() = %v, %v", got, err)
	}
	day := n.now().Truncate(24 * time.Hour)
	for i, want := range []struct {
		requests int64
		devices  int
		last     time.Time
	}{{12, 2, n.in(time.Hour)}, {1, 1, n.in(24 * time.Hour)}} {
		if u := got[i]; !u.Day.Equal(day) || u.Requests != want.requests || u.Seen.Count() != want.devices || !u.Last.Equal(want.last) {
			t.Errorf("day %d: %v, %d requests of %d credentials, last %v", i, u.Day, u.Requests, u.Seen.Count(), u.Last)
		}
		day = day.Add(24 * time.Hour)
	}
	if got, err := n.Uses(ctx, "bob"); err != nil || len(got) != 0 {
		t.Errorf("unused consumer: %v, %v", got, err)
	}
	_, err = n.Uses(ctx, "carol")
	wantKind(t, err, fault.NotFound, "")
}

// runOnceDown runs the background work while the store is down.
func (n *node) runOnceDown(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 10)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, func(err error) { failed <- err }) }()
	wantKind(t, <-failed, fault.Unavailable, "")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRunRepeats runs on a clock that the test moves.
func TestRunRepeats(t *testing.T) {
	t.Parallel()
	d := openData(t)
	synctest.Test(t, func(t *testing.T) {
		s := &stepping{data: d}
		r, err := consumer.NewRegistry(consumer.RegistryConfig{Store: s, Box: boxOf(t)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx, func(err error) { t.Error(err) }) }()
		time.Sleep(3*time.Minute + time.Second)
		cancel()
		if err := <-ended; err != nil || s.steps != 4 {
			t.Errorf("in three minutes it ran %d times, %v", s.steps, err)
		}
	})
}

// stepping needs no database: the clock of a bubble stands still while one is asked.
type stepping struct {
	*data
	steps int
}

func (s *stepping) RemoveEnded(context.Context, time.Time) ([]string, error) {
	s.steps++
	return nil, nil
}
func (*stepping) Purge(context.Context, int) (bool, error)      { return true, nil }
func (*stepping) PruneChanges(context.Context, time.Time) error { return nil }
func (*stepping) PruneUses(context.Context, time.Time) error    { return nil }
