package chat

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// conn is one client's connection: it says hello, then takes part in a conversation
// until it is closed. It is the session's sink.
type conn struct {
	h      *Handler
	origin string // that the token's app must list; "": any app will do
	out    queue

	// The reader's own.
	pace    limit.Pace
	user    chat.User
	session *chat.Session // nil before hello

	unheard string // the message whose deltas are left out; the session's own

	// The sweep reads these.
	opened  time.Duration // since the handler was made, as all of these
	greeted atomic.Bool
	seen    atomic.Int64         // when the client was heard last
	pinged  time.Duration        // the sweep's own
	pass    atomic.Pointer[pass] // nil: before welcome
}

// run serves the connection until it ends.
func (c *conn) run(ctx context.Context) {
	err := c.out.sock.read(func(op opcode, data []byte) {
		if r := c.receive(ctx, op, data); r != nil {
			c.refuse(ctx, r)
		}
	})
	if err != nil {
		c.h.c.Log.LogAttrs(ctx, slog.LevelWarn, "chat connection cut", slog.Any("err", err))
	}
	c.out.wait()
	if c.session != nil {
		c.session.Close()
	}
}

// aside runs f to its end on a stack of its own. A stack that has once grown stays, and
// a connection at rest holds its reader's: this halves it.
func aside(f func()) {
	var panicked error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Errorf("%v\n%s", p, debug.Stack())
			}
		}()
		f()
	}()
	if <-done; panicked != nil {
		panic(panicked) // goes where the reader's own would
	}
}

// receive takes one WebSocket frame. What it returns ends the connection.
func (c *conn) receive(ctx context.Context, op opcode, data []byte) *refusal {
	age := c.h.age()
	c.seen.Store(int64(age))
	if c.out.over() {
		return nil
	}
	if !c.pace.Allow(age, frameEvery, framesBurst) {
		return refuse(closeTooMany, "too_many", "too many frames: slow down")
	}
	switch op {
	case opPing:
		c.out.push(opPong, data)
		return nil
	case opPong:
		return nil
	case opText:
	default:
		return badFrame(fault.New(fault.Invalid, "a frame must be text"))
	}
	var r *refusal
	aside(func() { r = c.take(ctx, data) })
	return r
}

func (c *conn) take(ctx context.Context, text []byte) *refusal {
	f, err := decode(text)
	if err != nil {
		return badFrame(err)
	}
	return c.act(ctx, f)
}

// act does what a frame asks for.
func (c *conn) act(ctx context.Context, f frame) *refusal {
	hello, isHello := f.(helloFrame)
	switch {
	case isHello && c.session == nil:
		c.greeted.Store(true)
		return c.hello(ctx, hello)
	case isHello:
		return badFrame(fault.New(fault.Invalid, "hello is said once"))
	case c.session == nil:
		return badFrame(fault.New(fault.Invalid, "the first frame must be hello"))
	}
	switch f := f.(type) {
	case refreshFrame:
		return c.refresh(ctx, f)
	case pingFrame:
		c.tell(markFrame{Type: "pong"})
		return nil
	}
	if c.h.c.Clock().UnixNano() >= c.pass.Load().expires {
		c.late(f)
		return nil
	}
	switch f := f.(type) {
	case sendFrame:
		c.session.Send(f.id, f.body)
	case typingFrame:
		c.session.Typing()
	case readFrame:
		c.session.Read(f.seq)
	case contextFrame:
		return c.setContext(ctx, f)
	}
	return nil
}

// late answers what comes after the token has expired: a send is refused, and the rest,
// which has no answer, is dropped.
func (c *conn) late(f frame) {
	if f, ok := f.(sendFrame); ok {
		c.tell(nackFrame{"nack", f.id, tokenExpired})
	}
}

// setContext waits for the store, so that the turns of what is sent next have it.
func (c *conn) setContext(ctx context.Context, f contextFrame) *refusal {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.session.SetContext(ctx, f.set); err != nil {
		return refuseFor(err)
	}
	return nil
}

// refuse ends the connection behind an error frame.
func (c *conn) refuse(ctx context.Context, r *refusal) {
	if r.cause != nil {
		level := slog.LevelInfo
		if fault.KindOf(r.cause) == fault.Internal {
			level = slog.LevelError
		}
		c.h.c.Log.LogAttrs(ctx, level, "chat connection refused",
			slog.String("code", r.wire.Code), slog.Any("err", r.cause))
	}
	c.end(r.close, r.wire)
}

func (c *conn) end(code closeCode, e wireError) {
	last, _ := encode(errorFrame{"error", e}) // strings and a number always encode
	c.out.end(last, code, e.Code)
}

// tell queues a frame.
func (c *conn) tell(frame any) {
	text, err := encode(frame)
	if err != nil { // a body that is no JSON is in the store
		c.h.c.Log.Error("chat frame not sent", slog.Any("err", err))
		c.end(closeUnavailable, toWire(err))
		return
	}
	c.out.push(opText, text)
}
