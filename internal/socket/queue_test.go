package socket

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// tap is a line from which a test takes one frame at a time.
type tap struct {
	frames chan Frame
	fails  error
	cuts   int
}

func newTap() *tap { return &tap{frames: make(chan Frame)} }

func (t *tap) Cut() { t.cuts++ }
func (t *tap) Write(f Frame) error {
	if t.fails == nil {
		t.frames <- f
	}
	return t.fails
}

// all takes what comes until nothing comes any more.
func (t *tap) all() (texts []string) {
	for {
		synctest.Wait()
		select {
		case f := <-t.frames:
			texts = append(texts, string(f.Data))
		default:
			return texts
		}
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	last := Frame{Op: Close, Data: []byte("bye"), Code: 4500}
	for name, tc := range map[string]struct {
		act  func(q *Queue)
		want []string
	}{
		"in order":             {func(*Queue) {}, []string{"a", "b", "c"}},
		"ended behind it":      {func(q *Queue) { q.End(last) }, []string{"a", "b", "c", "bye"}},
		"abandoned":            {func(q *Queue) { q.Abandon(last) }, []string{"a", "bye"}},
		"the first end counts": {func(q *Queue) { q.End(last); q.Abandon(Frame{}) }, []string{"a", "b", "c", "bye"}},
		"nothing behind it":    {func(q *Queue) { q.End(last); q.Push(Text, []byte("d")) }, []string{"a", "b", "c", "bye"}},
		"flushed":              {func(q *Queue) { go q.Flush(); synctest.Wait() }, []string{"a", "b", "c"}},
		"dropped":              {func(q *Queue) { go q.Wait(); synctest.Wait() }, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				line := newTap()
				q := &Queue{Line: line}
				for _, text := range []string{"a", "b", "c"} {
					if !q.Push(Text, []byte(text)) {
						t.Fatal("an empty queue takes nothing")
					}
				}
				synctest.Wait() // the writer has the first in its hands
				tc.act(q)
				if got := line.all(); !slices.Equal(got, tc.want) {
					t.Errorf("written %q, want %q", got, tc.want)
				}
				q.Wait()
			})
		})
	}
}

// TestQueueIsBounded by frames and by bytes, of which it keeps a part for what is new.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ size, fit, old int }{
		"many frames": {10, MaxQueued, MaxQueued * 3 / 4},
		"many bytes":  {64 << 10, 8, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				line := newTap()
				q := &Queue{Line: line}
				q.Push(Text, nil)
				synctest.Wait()
				if got := q.Free(tc.size); got != tc.old {
					t.Errorf("Free() = %d, want %d", got, tc.old)
				}
				for i := range tc.fit {
					if !q.Push(Text, make([]byte, tc.size)) {
						t.Fatalf("full at %d frames, want %d", i, tc.fit)
					}
				}
				if q.Push(Text, make([]byte, tc.size)) || q.Free(tc.size) != 0 || q.Over() {
					t.Errorf("a full queue takes more, has room for %d, or is over: %t", q.Free(tc.size), q.Over())
				}
				if n := len(line.all()); n != tc.fit+1 {
					t.Errorf("%d frames written, want %d", n, tc.fit+1)
				}
				q.Abandon()
				if !q.Push(Text, nil) || q.Free(1) != 0 || !q.Over() {
					t.Error("the end of a queue is no end")
				}
			})
		})
	}
}

func TestQueueOfALineThatFails(t *testing.T) {
	t.Parallel()
	line := &tap{fails: errors.New("gone")}
	q := &Queue{Line: line}
	q.Push(Text, []byte("a"))
	q.Wait()
	if q.Cut(); !q.Over() || line.cuts != 1 {
		t.Errorf("over %t, cut %d times; want an end", q.Over(), line.cuts)
	}
}

// fed counts how often it is told that there is room.
type fed struct{ times int }

func (f *fed) Ready() { f.times++ }

// TestQueueAtRest holds no memory, and asks for more whenever it has run empty.
func TestQueueAtRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line, from := newTap(), &fed{}
		q := &Queue{Line: line}
		q.Feed(from)
		for range 2 {
			q.Push(Text, []byte("a"))
			q.Push(Text, []byte("b"))
			line.all()
		}
		if from.times != 3 {
			t.Errorf("told %d times that there is room, want at first and after each run", from.times)
		}
		if q.frames != nil || q.bytes != 0 || q.writing {
			t.Errorf("a queue at rest has %d frames of %d bytes, writing %v", cap(q.frames), q.bytes, q.writing)
		}
	})
}
