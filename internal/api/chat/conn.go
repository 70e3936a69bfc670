package chat

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/socket"
	"github.com/carnetproject/carnet/internal/wire"
)

// conn is one client's connection: it says hello, then takes part in a conversation
// until it is closed. It is the session's sink.
type conn struct {
	h      *Handler
	addr   netip.Addr
	origin string // that the token's app must list; "": any app will do
	deaf   bool   // the line brings nothing from the client that tells that it is there
	out    socket.Queue

	// The reader's own.
	pace    limit.Pace
	user    chat.User
	session *chat.Session // nil before hello
	carried carried

	unheard string // the message whose deltas are left out; the session's own

	// The sweep reads these.
	opened  time.Duration // since the handler was made, as all of these
	greeted atomic.Bool
	seen    atomic.Int64         // when the client was heard last
	pinged  time.Duration        // the sweep's own
	pass    atomic.Pointer[pass] // nil: before welcome
}

// run serves the connection until read, which brings what the client says, returns.
func (c *conn) run(ctx context.Context, read func(receive func(socket.Opcode, []byte)) error) {
	defer func() { // whatever panics
		if c.session != nil {
			c.session.Close()
		}
	}()
	err := read(func(op socket.Opcode, data []byte) {
		if r := c.receive(ctx, op, data); r != nil {
			c.refuse(ctx, r)
		}
	})
	socket.Report(ctx, c.h.c.Log, err)
	c.out.Wait()
}

// aside runs f to its end on a stack of its own. A stack that has once grown stays, and
// a connection at rest holds its reader's: this halves it.
func aside(f func()) {
	var panicked *socket.PanicError
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = socket.Panicked(p)
			}
		}()
		f()
	}()
	if <-done; panicked != nil {
		panic(panicked) // goes where the reader's own would
	}
}

// receive takes one WebSocket frame. What it returns ends the connection.
func (c *conn) receive(ctx context.Context, op socket.Opcode, data []byte) *refusal {
	age := c.h.age()
	c.seen.Store(int64(age))
	if c.out.Over() {
		return nil
	}
	if r := c.keepPace(age); r != nil {
		return r
	}
	switch op {
	case socket.Ping:
		c.push(socket.Pong, bytes.Clone(data))
		return nil
	case socket.Pong:
		c.renewState(ctx, age)
		return nil
	case socket.Text:
	default:
		return badFrame(fault.New(fault.Invalid, "a frame must be text"))
	}
	var r *refusal
	aside(func() { r = c.take(ctx, data) })
	if r == nil {
		c.renewState(ctx, age)
	}
	return r
}

// keepPace counts a frame.
func (c *conn) keepPace(age time.Duration) *refusal {
	if c.pace.Allow(age, frameEvery, framesBurst) {
		return nil
	}
	return refuse(closeTooMany, "too_many", "too many frames: slow down")
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
	if c.expired() {
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

// late answers what comes after the token has expired: what has an id is refused, and the
// rest, which has no answer, is dropped.
func (c *conn) late(f frame) {
	switch f := f.(type) {
	case sendFrame:
		c.tell(nackFrame{"nack", f.id, tokenExpired})
	case contextFrame:
		if f.id != "" {
			c.tell(nackFrame{"nack", f.id, tokenExpired})
		}
	}
}

// setContext waits for the store, so that the turns of what is sent next have it. A change
// with an id is answered; without one a refusal ends the connection.
func (c *conn) setContext(ctx context.Context, f contextFrame) *refusal {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := f.refusal
	if err == nil {
		err = c.session.SetContext(ctx, f.set)
	}
	switch {
	case err != nil && f.id == "":
		return refuseFor(err)
	case err != nil:
		c.tell(nackFrame{"nack", f.id, toWire(err)})
		return nil
	case f.id != "":
		c.tell(doneFrame{"context", f.id})
	}
	c.tellState(ctx)
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
	last, _ := wire.JSON(errorFrame{"error", e}) // strings and a number always encode
	c.out.End(socket.Frame{Op: socket.Text, Data: last}, closing(code, e.Code))
}

// closing is the last frame of a connection.
func closing(code closeCode, reason string) socket.Frame {
	return socket.Frame{Op: socket.Close, Data: []byte(reason), Code: uint16(code)}
}

// tell queues a frame.
func (c *conn) tell(frame any) {
	text, err := wire.JSON(frame)
	if err != nil { // a body that is no JSON is in the store
		c.h.c.Log.Error("chat frame not sent", slog.Any("err", err))
		c.end(closeUnavailable, toWire(err))
		return
	}
	c.push(socket.Text, text)
}

// push queues a frame. When the queue is full the connection ends as a slow reader's.
func (c *conn) push(op socket.Opcode, data []byte) {
	if !c.out.Push(op, data) {
		c.out.Abandon(closing(closeSlowReader, "slow_reader"))
	}
}
