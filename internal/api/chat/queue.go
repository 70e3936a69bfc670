package chat

import (
	"sync"

	"github.com/carnetproject/carnet/internal/chat"
)

// How much may wait for a connection to take it.
const (
	maxQueued      = 256
	maxQueuedBytes = 512 << 10
	// reserved is the part of both that is kept for what comes beside old messages.
	reserved = 4
)

// queue is what waits to be written to a connection. Its goroutine exists only while
// there is something to write. When it is full the connection ends as a slow reader's:
// what waits is dropped, since a client that resumes asks for it again. Its methods
// never block, but for wait, and are safe for concurrent use.
type queue struct {
	sock *socket // required

	mu      sync.Mutex
	frames  []outgoing
	bytes   int  // of frames
	writing bool // the goroutine is there
	ended   bool // nothing is taken any more
	writer  sync.WaitGroup
	from    *chat.Session // told whenever the queue has run empty; nil: nobody
}

// outgoing is a WebSocket frame to be written. Of a close frame data is the reason.
type outgoing struct {
	op   opcode
	data []byte
	code closeCode
}

// push adds a frame.
func (q *queue) push(op opcode, data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
	case len(q.frames) == maxQueued || q.bytes+len(data) > maxQueuedBytes:
		q.frames, q.bytes, q.ended = nil, 0, true
		q.add(outgoing{opClose, []byte("slow_reader"), closeSlowReader})
	default:
		q.add(outgoing{op: op, data: data})
	}
}

// end closes the connection behind what waits and a last frame. The first end counts.
func (q *queue) end(last []byte, code closeCode, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	q.ended = true
	q.add(outgoing{op: opText, data: last})
	q.add(outgoing{opClose, []byte(reason), code})
}

// over tells whether the connection has its end.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

// free is how many old messages there is room for, of the longest ones.
func (q *queue) free() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return 0
	}
	frames := maxQueued - maxQueued/reserved - len(q.frames)
	bytes := maxQueuedBytes - maxQueuedBytes/reserved - q.bytes
	return max(0, min(frames, bytes/maxFrame))
}

// feed tells from that it may begin, and from then on whenever the queue has run empty.
func (q *queue) feed(from *chat.Session) {
	q.mu.Lock()
	q.from = from
	q.mu.Unlock()
	from.Ready()
}

// wait drops what waits, and returns when nothing is being written any more. The
// socket is closed already, or this may take as long as a write.
func (q *queue) wait() {
	q.mu.Lock()
	q.frames, q.bytes, q.ended = nil, 0, true
	q.mu.Unlock()
	q.writer.Wait()
}

// add adds a frame and sees to it that somebody writes. The queue is locked.
func (q *queue) add(f outgoing) {
	q.frames = append(q.frames, f)
	q.bytes += len(f.data)
	if !q.writing {
		q.writing = true
		q.writer.Go(q.write)
	}
}

// write writes until nothing is left to write, or nothing can be written.
func (q *queue) write() {
	q.mu.Lock()
	for len(q.frames) > 0 {
		f := q.take()
		q.mu.Unlock()
		err := q.sock.write(f)
		q.mu.Lock()
		if err != nil { // the socket sees to its own end
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

func (q *queue) take() outgoing {
	f := q.frames[0]
	q.frames[0] = outgoing{}
	q.frames = q.frames[1:]
	q.bytes -= len(f.data)
	return f
}
