package consumer

import (
	"bytes"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSketchCounts(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 63, 64, 65, 500, 3000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var s Sketch
			for i := range n {
				for range 2 { // seen twice, counted once
					s = s.Add(markOf(fmt.Sprintf("dev.example.app-%d", i)))
				}
			}
			within := 0.1 // three times the standard error of 2^10 registers
			if n <= maxMarks {
				within = 0
			}
			if off := math.Abs(float64(s.Count() - n)); off > within*float64(n) {
				t.Errorf("%d distinct keys are counted as %d", n, s.Count())
			}
			if len(s) > registers {
				t.Errorf("the sketch has %d bytes", len(s))
			}
		})
	}
}

func TestSketchMerges(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][2]int{{0, 0}, {0, 5}, {5, 0}, {40, 60}, {64, 64}, {10, 5000}, {5000, 10}, {5000, 5000}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			t.Parallel()
			var a, b, both Sketch
			for i := range sizes[0] {
				a, both = a.Add(markOf(fmt.Sprint(i))), both.Add(markOf(fmt.Sprint(i)))
			}
			for i := range sizes[1] { // half of them are of a
				key := fmt.Sprint(i + sizes[0]/2)
				b, both = b.Add(markOf(key)), both.Add(markOf(key))
			}
			wasA, wasB := bytes.Clone(a), bytes.Clone(b)
			if got := a.Merge(b); got.Count() != both.Count() || b.Merge(a).Count() != both.Count() {
				t.Errorf("merged, %d and %d keys are counted as %d, not %d", a.Count(), b.Count(), got.Count(), both.Count())
			}
			if !bytes.Equal(a, wasA) || !bytes.Equal(b, wasB) {
				t.Error("a merge changes what it merges")
			}
		})
	}
}

func FuzzSketch(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, bytes.Repeat([]byte{3}, registers))
	f.Add(bytes.Repeat([]byte{0xff}, registers), []byte("x"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var none Sketch
		a, b = none.Merge(a), none.Merge(b) // as Add makes them, with no mark twice
		m, n := Sketch(a).Merge(b), Sketch(b).Merge(a)
		if m.Count() != n.Count() || m.Count() < 0 {
			t.Errorf("merged one way %d, the other way %d", m.Count(), n.Count())
		}
		if !bytes.Equal(m.Merge(m), m) {
			t.Error("a sketch merged with itself is another")
		}
	})
}

// TestTraceIsASketch has many callers note many credentials at once.
func TestTraceIsASketch(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 16, 17, 4000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var tr trace
			var want Sketch
			var wg sync.WaitGroup
			for i := range n {
				want = want.Add(markOf(fmt.Sprint(i)))
			}
			for range 8 {
				wg.Go(func() {
					for i := range n {
						tr.note(markOf(fmt.Sprint(i)))
					}
				})
			}
			wg.Wait()
			if got := tr.sketch(); got.Count() != want.Count() && n > maxMarks || n <= 16 && got.Count() != n {
				t.Errorf("%d credentials are counted as %d, not %d", n, got.Count(), want.Count())
			}
		})
	}
}

func TestTracesAreBounded(t *testing.T) {
	t.Parallel()
	r := &Registry{}
	var noted atomic.Int64
	for i := range maxTraces + 10 {
		h := &holder{id: fmt.Sprint(i)}
		r.Used(&Credential{holder: h, mark: 1}, time.Unix(1, 0))
		if h.trace.Load() != nil {
			noted.Add(1)
		}
	}
	if noted.Load() != maxTraces || len(r.tracing.active) != maxTraces {
		t.Errorf("%d of %d consumers are traced", noted.Load(), maxTraces)
	}
}
