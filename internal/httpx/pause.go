package httpx

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// bodyPause is how long a client may send nothing of a body that it has announced, and
// take nothing of an answer.
const bodyPause = time.Minute

// limitAnswers ends requests whose answer stands still for d, so that a slow client cannot
// hold what is made for it for ever. What moves may take any time.
func limitAnswers(d time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &movingAnswer{ResponseWriter: w, conn: http.NewResponseController(w), pause: d, shared: r.ProtoMajor > 1}
		defer a.last()
		if r.ContentLength != 0 {
			_ = a.conn.SetWriteDeadline(time.Time{}) // that of the answer before is not for a 100
		}
		next.ServeHTTP(a, r)
	})
}

// limitBodies ends requests whose body stands still for d, so that a slow client cannot
// hold a connection, and one to an upstream, for ever. What moves may take any time. What
// next leaves unread is bounded, too: net/http reads some of that before it answers.
func limitBodies(d time.Duration, next http.Handler) http.Handler {
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

// movingAnswer gives each write of an answer its own deadline, more or less.
type movingAnswer struct {
	http.ResponseWriter
	conn   *http.ResponseController
	pause  time.Duration
	shared bool      // of HTTP/2, where a deadline ends even an answer that waits for its handler
	set    time.Time // when the deadline was set; zero: there is none
	begun  bool
}

// WriteHeader sends a 1xx at once.
func (a *movingAnswer) WriteHeader(status int) {
	a.begin()
	defer a.end()
	a.ResponseWriter.WriteHeader(status)
}

func (a *movingAnswer) Write(p []byte) (int, error) {
	a.begin()
	defer a.end()
	return a.ResponseWriter.Write(p)
}

// FlushError is what [http.ResponseController.Flush] calls.
func (a *movingAnswer) FlushError() error {
	a.begin()
	defer a.end()
	return a.conn.Flush()
}

// Unwrap lets [http.ResponseController] hijack.
func (a *movingAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *movingAnswer) begin() {
	a.begun = true
	if now := time.Now(); now.Sub(a.set) > a.pause/8 {
		a.set = now
		// Twice, since net/http may first wait for a body that nobody has read.
		_ = a.conn.SetWriteDeadline(now.Add(2 * a.pause)) // a connection without deadlines is a test's
	}
}

func (a *movingAnswer) end() {
	if a.shared {
		a.set = time.Time{}
		_ = a.conn.SetWriteDeadline(a.set)
	}
}

// last bounds what net/http sends after the handler, unless that took the connection.
func (a *movingAnswer) last() {
	if a.begun {
		a.begin()
	}
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
