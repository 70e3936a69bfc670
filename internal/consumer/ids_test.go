package consumer_test

import (
	"math/bits"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
)

func newIDs(t testing.TB, key string) *consumer.IDs {
	t.Helper()
	x, err := consumer.NewIDs([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestIDs(t *testing.T) {
	t.Parallel()
	x, other := newIDs(t, "0123456789abcdef"), newIDs(t, "0123456789abcdeF")
	seen := map[string]bool{}
	for _, row := range []int64{0, 1, 2, 3, 1000, 12_000_000, 1<<62 - 1} {
		id := x.Of(row)
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 8 || u.Variant() != uuid.RFC4122 || u.String() != id || seen[id] {
			t.Errorf("row %d is %s", row, id)
		}
		seen[id] = true
		for _, spelling := range []string{id, strings.ToUpper(id)} {
			if got, ok := x.Row(spelling); !ok || got != row {
				t.Errorf("%s is row %d, %v; want %d", spelling, got, ok, row)
			}
		}
		if got, ok := other.Row(id); ok || got != 0 {
			t.Errorf("another key takes %s for row %d", id, got)
		}
		if other.Of(row) == id {
			t.Error("the key does not matter")
		}
	}
	for _, id := range []string{"", "x", uuid.NewString(), uuid.Nil.String(), uuid.Max.String(), x.Of(1)[1:]} {
		if row, ok := x.Row(id); ok {
			t.Errorf("%q is row %d", id, row)
		}
	}
	for _, size := range []int{0, 15, 17, 32} {
		if _, err := consumer.NewIDs(make([]byte, size)); err == nil {
			t.Errorf("took a key of %d bytes", size)
		}
	}
}

// TestIDsTellNothing wants neighbours to differ in about half of their bits.
func TestIDsTellNothing(t *testing.T) {
	t.Parallel()
	x := newIDs(t, "0123456789abcdef")
	different := 0
	const rows = 500
	for row := range int64(rows) {
		a, b := uuid.MustParse(x.Of(row)), uuid.MustParse(x.Of(row+1))
		for i := range a {
			different += bits.OnesCount8(a[i] ^ b[i])
		}
	}
	if mean := different / rows; mean < 55 || mean > 67 {
		t.Errorf("neighbours differ in %d of 122 bits", mean)
	}
}

func FuzzIDs(f *testing.F) {
	f.Add(int64(7), "6ba7b810-9dad-81d1-80b4-00c04fd430c8")
	x := newIDs(f, "0123456789abcdef")
	f.Fuzz(func(t *testing.T, row int64, id string) {
		row &= 1<<62 - 1
		if got, ok := x.Row(x.Of(row)); !ok || got != row {
			t.Errorf("row %d comes back as %d, %v", row, got, ok)
		}
		if got, ok := x.Row(id); ok && uuid.MustParse(id).String() != x.Of(got) {
			t.Errorf("%q is row %d, whose id is %s", id, got, x.Of(got))
		}
	})
}

func BenchmarkID(b *testing.B) {
	x := newIDs(b, "0123456789abcdef")
	for b.Loop() {
		if _, ok := x.Row(x.Of(12_000_000)); !ok {
			b.Fatal("not found")
		}
	}
}
