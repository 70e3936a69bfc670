package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/socket"
)

// answerWithin is how long the sends of a request may wait for their place: longer than
// a check of the user's session takes.
const answerWithin = 40 * time.Second

// saysPerUser is how many requests with frames a user may make of a node, of whom it
// remembers so many at a time.
var saysPerUser = limit.Rate{N: 100, Per: time.Second}

const usersRemembered = 4096

// say takes frames of a client that listens by a stream: a line each, in the body of a
// request that says by itself whose they are, so that any node can take it. They are
// done in order, up to one that is refused as on a WebSocket; the answer, in lines, too,
// says what became of those that have an id.
func (h *Handler) say(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	origin, err := h.checkOrigin(r)
	if err != nil {
		return err
	}
	token, err := bearer(r)
	if err != nil {
		return err
	}
	addr := h.c.ClientAddr(r)
	if err := h.conns.Admit(addr); err != nil {
		return err
	}
	a := &answers{open: 1, over: make(chan struct{})}
	c := &conn{h: h, addr: addr, origin: origin, deaf: true, out: socket.Queue{Line: a}}
	defer h.conns.Leave(addr, c)
	body, err := httpx.ReadBody(w, r, maxFrame)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	if err := c.visit(ctx, token, chat.ID(r.PathValue("id"))); err != nil {
		return err
	}
	defer c.session.Close() // whatever panics
	h.enter(c)
	c.sayAll(ctx, a, body)
	a.wait(ctx)
	c.session.Close()
	c.out.Flush()
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = w.Write(a.frames) // the client may be gone: it sends again what has no answer
	return nil
}

// visit opens the session of a request.
func (c *conn) visit(ctx context.Context, token string, id chat.ID) error {
	var identity Identity
	err := c.h.attempt(c.addr, func() error {
		known, refused := c.identify(ctx, token)
		if refused == nil {
			refused = c.live(known)
		}
		if refused != nil {
			return refused.fault()
		}
		identity = known
		return nil
	})
	if err != nil {
		return err
	}
	now := c.h.c.Clock()
	if ok, after := c.h.says.Allow(identity.User.Issuer+"\x00"+identity.User.Subject, now); !ok {
		return &fault.Error{Kind: fault.Limited, Msg: "too many requests", RetryAfter: after}
	}
	s, err := c.h.c.Engine.Visit(ctx, identity.User, id, c.addr, c)
	c.session, c.user = s, identity.User
	c.greeted.Store(true)
	return err
}

// sayAll does what the frames ask for, up to the end of the connection.
func (c *conn) sayAll(ctx context.Context, a *answers, body []byte) {
	defer a.settle()
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if c.out.Over() {
			return
		}
		if refused := c.sayOne(ctx, a, line); refused != nil {
			c.refuse(ctx, refused)
			return
		}
	}
}

func (c *conn) sayOne(ctx context.Context, a *answers, line []byte) *refusal {
	if r := c.keepPace(c.h.age()); r != nil {
		return r
	}
	f, err := decode(line)
	if err != nil {
		return badFrame(err)
	}
	switch f := f.(type) {
	case sendFrame:
		a.expect()
	case contextFrame:
		if f.id != "" {
			a.expect()
		}
	case typingFrame, readFrame:
	default:
		return badFrame(fault.BadField("type", "must be send, typing, read or context in a request"))
	}
	return c.act(ctx, f)
}

// answers is the line of a connection that lasts as long as a request.
type answers struct {
	mu     sync.Mutex
	frames []byte // a line each
	open   int    // frames without an answer, and one for those that may come
	ended  bool
	over   chan struct{} // closed when none is open, and at the end
}

var _ socket.Line = (*answers)(nil)

// expect says that one answer more is to come.
func (a *answers) expect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open++
}

// settle undoes expect.
func (a *answers) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	a.finish(a.open == 0)
}

// Write keeps what is told. It is an answer if it has an id.
func (a *answers) Write(f socket.Frame) error {
	text := text(f)
	var answer struct{ ID string }
	_ = json.Unmarshal(text, &answer) // a ping is no text
	a.mu.Lock()
	defer a.mu.Unlock()
	if text != nil {
		a.frames = append(append(a.frames, text...), '\n')
	}
	if answer.ID != "" {
		a.open--
	}
	a.finish(a.open == 0 || f.Op == socket.Close)
	return nil
}

// Cut ends the wait.
func (a *answers) Cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.finish(true)
}

func (a *answers) finish(now bool) {
	if now && !a.ended {
		a.ended = true
		close(a.over)
	}
}

// wait returns when all answers are there that are expected, or will ever be.
func (a *answers) wait(ctx context.Context) {
	select {
	case <-a.over:
	case <-ctx.Done():
	}
}
