package key

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// TestOverdue has the store fail for longer than a rotation may wait.
func TestOverdue(t *testing.T) {
	t.Parallel()
	spec := access()
	b := newBench(t, spec)
	want := func(when string, lines ...string) {
		t.Helper()
		if got := b.Overdue(); !slices.Equal(got, lines) {
			t.Errorf("%s: Overdue() = %v, want %v", when, got, lines)
		}
	}
	want("new")
	b.pass(spec.Rotation - spec.PublishAhead)
	want("due, not late")
	b.store.broken = errors.New("store is gone")
	if err := b.RotateDue(t.Context()); err == nil {
		t.Fatal("rotated without a store")
	}
	b.pass(spec.PublishAhead)
	want("its time is over")
	b.pass(1)
	want("stuck", "access/ES256", "access/EdDSA")
	b.store.broken = nil
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.ES256}))
	want("one has a successor", "access/EdDSA")
	b.must(b.RotateDue(t.Context()))
	want("both have")
	b.pass(spec.PublishAhead)
	want("and sign")

	byHand := access()
	byHand.Rotation = 0
	b = newBench(t, byHand)
	b.pass(1e5 * time.Hour)
	want("rotated by hand")
}
