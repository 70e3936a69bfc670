package kore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/socket"
	"github.com/carnetproject/carnet/internal/wire"
)

// conn is one connection of a page. It is the session's sink.
type conn struct {
	h       *Handler
	grant   grant
	addr    netip.Addr
	agent   string // the browser
	tab     *tab
	sock    line
	session atomic.Pointer[chat.Session]

	// The reader's own.
	pace    limit.Pace
	context json.RawMessage // what the page last said of itself
	ended   time.Duration   // when it last ended a conversation, since the handler was made

	// The sweep reads these.
	seen   atomic.Int64  // when the page was heard last, since the handler was made
	pinged time.Duration // the sweep's own

	mu    sync.Mutex
	round uint32 // counts the conversations
	told  int64  // the last message of it that was sent
	asked bool   // a ping that asks how far the page has come has no answer yet
}

// run serves the connection until it ends.
func (c *conn) run(ctx context.Context, sock *socket.Conn) {
	c.sock.Feed(c)
	err := sock.Read(func(op socket.Opcode, data []byte) { c.receive(ctx, op, data) })
	socket.Report(ctx, c.h.c.Log, err)
	c.sock.Wait()
	c.close()
}

func (c *conn) close() {
	c.session.Load().Close()
	c.tab.leave(c)
}

// receive takes one WebSocket frame.
func (c *conn) receive(ctx context.Context, op socket.Opcode, data []byte) {
	age := c.h.age()
	c.seen.Store(int64(age))
	if !c.pace.Allow(age, frameEvery, framesBurst) {
		c.sock.end(1008)
		return
	}
	switch op {
	case socket.Ping:
		c.sock.push(socket.Pong, bytes.Clone(data))
	case socket.Pong:
		c.reached(data)
	case socket.Text:
		c.take(ctx, data)
	default:
		c.sock.end(1003)
	}
}

// take does what a frame asks for. What it does not know it ignores, as its like do: the
// SDK cannot be told.
func (c *conn) take(ctx context.Context, text []byte) {
	f, err := decode(text)
	switch {
	case err != nil:
		c.h.c.Log.LogAttrs(ctx, slog.LevelDebug, "frame ignored", slog.Any("err", err))
	case f.Type == "ping":
		c.tell(ack{Type: "pong", OK: true, ReplyTo: f.ID})
	case f.Type != "":
	case f.Event == "typing":
		c.session.Load().Typing()
	case f.Event != "":
	case f.ResourceID == closeResource:
		c.endConversation(ctx)
	case f.Message != nil && (f.ResourceID == messageResource || f.ResourceID == ""):
		c.send(ctx, f)
	}
}

func (c *conn) send(ctx context.Context, f frame) {
	id, err := f.messageID()
	if err != nil {
		c.complain(err)
		return
	}
	body, err := f.body(c.sender())
	if err != nil {
		c.complain(err)
		return
	}
	c.describe(ctx, f)
	c.tab.send(id)
	c.session.Load().Send(id, body)
}

// sender tells who sends, if the tab has had another grant before: after a restart
// nothing else says that the two belong together.
func (c *conn) sender() *wireSender {
	if c.tab.name == c.grant.ID {
		return nil
	}
	return &wireSender{c.grant.ID, c.tab.name}
}

// describe brings what the page says of itself into the context, if that is new. It waits
// for the store, so that the turn of what is sent next has it.
func (c *conn) describe(ctx context.Context, f frame) {
	set := newContext(f.BotInfo, f.Meta)
	if set == nil || bytes.Equal(set, c.context) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.session.Load().SetContext(ctx, set); err != nil {
		c.h.c.Log.LogAttrs(ctx, slog.LevelInfo, "context of a page not kept", slog.Any("err", err))
		if fault.KindOf(err) == fault.Limited {
			return // to be said again with the message, which has come too soon as well
		}
	}
	c.context = set
}

// endConversation ends what was said so far: the user goes on in another conversation,
// which the bot begins.
func (c *conn) endConversation(ctx context.Context) {
	age := c.h.age()
	if c.ended != 0 && age-c.ended < time.Second {
		return
	}
	c.ended = age
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.session.Load().Close()
	hello := chat.Hello{User: c.grant.user(), Bot: c.grant.Bot, Context: c.context, After: chat.FromNow, New: true, Addr: c.addr}
	if err := c.begin(ctx, hello); err != nil {
		c.h.c.Log.LogAttrs(ctx, slog.LevelWarn, "conversation not ended", slog.Any("err", err))
		c.sock.end(1011)
		return
	}
	c.tell(event{"session_end", "bot"})
	c.session.Load().Ready()
}

// begin opens the session that hello asks for.
func (c *conn) begin(ctx context.Context, hello chat.Hello) error {
	s, err := c.h.c.Engine.Open(ctx, hello, c)
	if err != nil {
		return err
	}
	told := hello.After
	if told == chat.FromNow || hello.Conversation != "" && hello.Conversation != s.Conversation().ID { // that has ended
		told = s.Conversation().LastSeq
	}
	c.mu.Lock()
	c.round++
	c.told, c.asked = told, false
	c.mu.Unlock()
	c.session.Store(s)
	c.tab.at(s.Conversation().ID, told)
	return nil
}

func (c *conn) conversation() chat.ID { return c.session.Load().Conversation().ID }

// complain shows the user why a message was not taken. Of one that a gate has blocked
// [conn.Secure] says why.
func (c *conn) complain(err error) {
	text := "This message was not sent: " + fault.Public(err).Msg + ". Please send it again."
	if _, blocked := errors.AsType[securesession.Reason](err); blocked {
		text = "This message was not sent."
	}
	c.show(text, "error", "#a8231b")
}

// show draws a bubble that is not part of the conversation.
func (c *conn) show(text, kind, color string) {
	now := c.h.c.Clock()
	r := botResponse{
		Type: "bot_response", From: "bot", MessageID: "notice_" + strings.ToLower(rand.Text()),
		CreatedOn: wire.Time(now), Timestamp: now.UnixMilli(), Icon: icon, SessionID: c.conversation(),
		BotInfo: wireBot{c.grant.BotName, c.grant.BotID},
	}
	r.Message[0] = wireDrawn{Type: "text", Component: component{kind, textPayload{text, color}}}
	r.Message[0].CInfo.Body = text
	c.tell(r)
}

// tell queues a frame.
func (c *conn) tell(frame any) {
	text, err := wire.JSON(frame)
	if err != nil { // a body that is no JSON is in the store
		c.h.c.Log.Error("chat frame not sent", slog.Any("err", err))
		return
	}
	c.sock.push(socket.Text, text)
}

// ask asks the page how far it has come: a browser answers a ping behind all that came
// before it. It has been told the messages up to told; 0: none since. One ping is on the
// way at a time.
func (c *conn) ask(told int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = max(c.told, told)
	if !c.asked {
		c.asked = true
		c.sock.push(socket.Ping, c.mark())
	}
}

// mark is the payload of a ping: what was sent before it.
func (c *conn) mark() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, c.round), uint64(c.told))
}

// reached takes the answer to a ping.
func (c *conn) reached(mark []byte) {
	if len(mark) != 12 {
		return
	}
	seq := int64(binary.BigEndian.Uint64(mark[4:]))
	c.mu.Lock()
	told, ours := c.told, c.asked && c.round == binary.BigEndian.Uint32(mark) && seq <= c.told
	if ours {
		c.asked = false
	}
	c.mu.Unlock()
	if !ours { // of the conversation before, or the page made it up
		return
	}
	c.tab.show(c.conversation(), seq)
	if seq < told {
		c.ping()
	}
}

// ping asks whether the page is there at all.
func (c *conn) ping() { c.ask(0) }
