package socket

import "sync"

// How much may wait for a connection to take it.
const (
	MaxQueued      = 256
	MaxQueuedBytes = 512 << 10
	// reserved is the part of both that is kept for what comes beside old messages.
	reserved = 4
)

// Queue is what waits to be written to a line. Its goroutine exists only while there is
// something to write. The zero Queue needs its Line before it is pushed to. Its methods
// never block, but for Flush and Wait, and are safe for concurrent use.
type Queue struct {
	Line Line

	mu      sync.Mutex
	frames  []Frame
	bytes   int  // of frames
	writing bool // the goroutine is there
	ended   bool // nothing is taken any more
	writer  sync.WaitGroup
	from    feeder // told whenever the queue has run empty; nil: nobody
}

// feeder is who has more for a queue than it may take at once.
type feeder interface{ Ready() }

// Push adds a frame. It is false if there is no room: then the connection is to be ended,
// with [Queue.Abandon] or [Queue.Cut]. Behind the end nothing is added.
func (q *Queue) Push(op Opcode, data []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
	case len(q.frames) == MaxQueued || q.bytes+len(data) > MaxQueuedBytes:
		return false
	default:
		q.add(Frame{Op: op, Data: data})
	}
	return true
}

// End ends the connection behind what waits, with the frames given. The first end counts.
func (q *Queue) End(last ...Frame) { q.end(false, last) }

// Abandon is End in place of what waits: a client that resumes asks for it again.
func (q *Queue) Abandon(last ...Frame) { q.end(true, last) }

func (q *Queue) end(drop bool, last []Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if drop {
		q.frames, q.bytes = nil, 0
	}
	q.ended = true
	for _, f := range last {
		q.add(f)
	}
}

// Cut ends the connection without a word.
func (q *Queue) Cut() { q.Line.Cut() }

// Over tells whether the connection has its end.
func (q *Queue) Over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

// Free is how many old messages there is room for, if none is longer than so many bytes.
func (q *Queue) Free(longest int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return 0
	}
	frames := MaxQueued - MaxQueued/reserved - len(q.frames)
	bytes := MaxQueuedBytes - MaxQueuedBytes/reserved - q.bytes
	return max(0, min(frames, bytes/longest))
}

// Feed tells from that it may begin, and from then on whenever the queue has run empty.
func (q *Queue) Feed(from feeder) {
	q.mu.Lock()
	q.from = from
	q.mu.Unlock()
	from.Ready()
}

// Flush ends the connection behind what waits, and returns when that is written.
func (q *Queue) Flush() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.writer.Wait()
}

// Wait drops what waits, and returns when nothing is being written any more. The line is
// closed already, or this may take as long as a write.
func (q *Queue) Wait() {
	q.mu.Lock()
	q.frames, q.bytes, q.ended = nil, 0, true
	q.mu.Unlock()
	q.writer.Wait()
}

// add adds a frame and sees to it that somebody writes. The queue is locked.
func (q *Queue) add(f Frame) {
	q.frames = append(q.frames, f)
	q.bytes += len(f.Data)
	if !q.writing {
		q.writing = true
		q.writer.Go(q.write)
	}
}

// write writes until nothing is left to write, or nothing can be written.
func (q *Queue) write() {
	q.mu.Lock()
	for len(q.frames) > 0 {
		f := q.take()
		q.mu.Unlock()
		err := q.Line.Write(f)
		q.mu.Lock()
		if err != nil { // the line sees to its own end
			q.frames, q.bytes, q.ended = nil, 0, true
		}
	}
	q.frames, q.writing = nil, false // a queue at rest holds no memory
	from := q.from
	q.mu.Unlock()
	if from != nil {
		from.Ready()
	}
}

func (q *Queue) take() Frame {
	f := q.frames[0]
	q.frames[0] = Frame{}
	q.frames = q.frames[1:]
	q.bytes -= len(f.Data)
	f.More = len(q.frames) > 0
	return f
}
