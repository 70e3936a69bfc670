package consumer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	left := map[int]int{}
	c := newCache(100*(slotBytes+10), func(v int) { left[v]++ })
	name := func(i int) string { return fmt.Sprintf("key-%06d", i) } // of 10 bytes
	for i := range 1000 {
		c.put(name(i), i, 0)
		c.find(name(0)) // is used all the time
	}
	if _, ok := c.find(name(0)); !ok {
		t.Error("what is used all the time was evicted")
	}
	kept := 0
	for i := range 1000 {
		v, ok := c.find(name(i))
		if ok && v != i {
			t.Errorf("%s is %d", name(i), v)
		}
		if want := 0; !ok {
			want = 1
			if left[i] != want {
				t.Errorf("%d left %d times", i, left[i])
			}
		} else {
			kept++
		}
	}
	if kept != 100 || c.size.Load() != c.limit {
		t.Errorf("%d entries take %d of %d bytes", kept, c.size.Load(), c.limit)
	}
	c.clear()
	if c.size.Load() != 0 || len(left) != 1000 {
		t.Errorf("cleared, it has %d bytes, and %d of 1000 have left", c.size.Load(), len(left))
	}
}

func TestCacheReplacesAndDrops(t *testing.T) {
	t.Parallel()
	var left []string
	c := newCache(1000, func(v string) { left = append(left, v) })
	c.put("a", "1", 10)
	c.put("a", "2", 20)
	if v, ok := c.find("a"); !ok || v != "2" || c.size.Load() != 20+1+slotBytes {
		t.Errorf("a is %q, the cache takes %d", v, c.size.Load())
	}
	c.put("a", "large", 2000) // larger than the cache: neither it nor what it replaces stays
	if _, ok := c.find("a"); ok {
		t.Error("a value larger than the cache is kept, or the one before it")
	}
	c.drop("a")
	c.put("b", "3", 10)
	c.drop("b")
	c.drop("b")
	if got := strings.Join(left, " "); got != "1 2 large 3" || c.size.Load() != 0 {
		t.Errorf("left: %s; the cache takes %d", got, c.size.Load())
	}
	c.charge(900)
	c.put("c", "4", 10)
	if _, ok := c.find("c"); ok {
		t.Error("what was charged does not count")
	}
}

func TestCacheConcurrently(t *testing.T) {
	t.Parallel()
	var in, out atomic.Int64
	c := newCache(50*(slotBytes+4), func(int) { out.Add(1) })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				key := fmt.Sprintf("%04d", rand.IntN(200))
				switch rand.IntN(10) {
				case 0:
					c.drop(key)
				case 1, 2, 3:
					in.Add(1)
					c.put(key, 0, 0)
				default:
					c.find(key)
				}
			}
		})
	}
	wg.Wait()
	if c.size.Load() > c.limit {
		t.Errorf("it takes %d of %d bytes", c.size.Load(), c.limit)
	}
	c.clear()
	if in.Load() != out.Load() || c.size.Load() != 0 {
		t.Errorf("%d came and %d left, %d bytes are still counted", in.Load(), out.Load(), c.size.Load())
	}
}

func BenchmarkCacheFind(b *testing.B) {
	c := newCache(1<<20, func(int) {})
	c.put("dev.example.app-00000000000000000000000000000000", 1, 100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := c.find("dev.example.app-00000000000000000000000000000000"); !ok {
				b.Fatal("not found")
			}
		}
	})
}
