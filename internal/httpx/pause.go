package httpx

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// bodyPause is how long a client may send nothing of a body that it has announced.
const bodyPause = time.Minute

// limitPauses ends requests whose body stands still for d, so that a slow client
// cannot hold a connection, and one to an upstream, for ever. A body that moves may
// take any time. What next leaves unread is bounded, too: net/http reads some of
// that before it answers.
func limitPauses(d time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		b := &movingBody{ReadCloser: r.Body, conn: http.NewResponseController(w), pause: d}
		b.deadline(time.Now().Add(d), false)
		defer b.abandon()
		r.Body = b
		next.ServeHTTP(w, r)
	})
}

// movingBody gives each read of a body its own deadline. A proxy may go on reading
// after its handler has returned, when the connection is another request's: then
// the deadline is no longer touched.
type movingBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	pause time.Duration

	mu   sync.Mutex
	done bool
}

func (b *movingBody) Read(p []byte) (int, error) {
	b.deadline(time.Now().Add(b.pause), false)
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.deadline(time.Time{}, true)
	case err != nil:
		b.abandon() // the time is up for what net/http would read of the rest, too
	}
	return n, err
}

func (b *movingBody) Close() error {
	err := b.ReadCloser.Close() // reads the rest if it is short
	if err != nil {
		b.abandon()
		return err
	}
	b.deadline(time.Time{}, true)
	return nil
}

// deadline moves the deadline, for the last time if last is set.
func (b *movingBody) deadline(t time.Time, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		_ = b.conn.SetReadDeadline(t) // a connection without deadlines is a test's
		b.done = last
	}
}

// abandon leaves the deadline as it is, for the rest of the body.
func (b *movingBody) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
}
