package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/carnetproject/carnet/webhook"
)

// bot answers as the messages wish, and notes each call.
type bot struct {
	run      *Run
	listener net.Listener
	verifier *webhook.Verifier
	ctx      context.Context //nolint:containedctx // of run: pushes outlive the calls that ask for them
	pushing  sync.WaitGroup

	mu     sync.Mutex
	moment int64
	calls  []*Call
	tries  map[string]int // of each message, of those that came through
	forged int
}

func newBot(r *Run) (*bot, error) {
	v, err := webhook.NewVerifier(r.c.BotSecret)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &bot{run: r, listener: l, verifier: v, tries: map[string]int{}}, nil
}

// serve takes calls until ctx ends.
func (b *bot) serve(ctx context.Context) {
	b.ctx = ctx
	s := &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	_ = s.Serve(b.listener) // until it is closed
	b.pushing.Wait()
}

// begin notes a call. try counts from 1 on.
func (b *bot) begin(e webhook.Event) (c *Call, try int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moment++
	c = &Call{Conversation: e.Conversation, Began: b.moment}
	if e.Message != nil {
		c.ID, c.Seq, c.Body = e.Message.ID, e.Message.Seq, canonical(e.Message.Body)
	}
	b.calls = append(b.calls, c)
	b.tries[e.Conversation+" "+c.ID]++
	b.run.counts.calls.Add(1)
	return c, b.tries[e.Conversation+" "+c.ID]
}

// answer notes that the call is about to be answered.
func (b *bot) answer(c *Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moment++
	c.Answered = b.moment
}

// ServeHTTP takes a call.
func (b *bot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it came in half, and comes again
	}
	e, err := b.verifier.Event(r.Header, body, time.Now())
	if err != nil || e.Message != nil && e.Message.ID != e.ID {
		b.mu.Lock()
		b.forged++
		b.mu.Unlock()
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch e.Type {
	case webhook.SessionStarted:
		c, _ := b.begin(e)
		b.answer(c)
		writeJSON(w, webhook.Say(welcome))
	case webhook.MessageCreated:
		c, try := b.begin(e)
		b.fulfil(w, r, wishOf(c.Body), c, try)
	}
}

// fulfil does what the message wishes.
func (b *bot) fulfil(w http.ResponseWriter, r *http.Request, wish wish, c *Call, try int) {
	switch {
	case wish.Want == slow:
		if pause(r.Context(), rand.N(800*time.Millisecond)) != nil {
			return
		}
	case wish.Want == fail && try <= 2:
		if try == 2 {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case wish.Want == hang && try == 1:
		<-r.Context().Done()
		return
	case wish.Want == cut && try == 1:
		fmt.Fprintf(w, `{"messages":[{"text":%q}`, reply(wish.Text, 1))
		panic(http.ErrAbortHandler)
	}
	b.answer(c)
	switch wish.Want {
	case refuse:
		w.WriteHeader(http.StatusTeapot)
	case none:
		writeJSON(w, webhook.Say())
	case push:
		b.pushing.Go(func() { b.push(c.Conversation, wish) })
		writeJSON(w, webhook.Say())
	case ndjson, sse:
		b.stream(w, wish)
	default:
		var texts []string
		for k := range wish.Replies {
			texts = append(texts, reply(wish.Text, k+1))
		}
		writeJSON(w, webhook.Say(texts...))
	}
}

func writeJSON(w http.ResponseWriter, a webhook.Answer) {
	if a.Messages == nil {
		a.Messages = []webhook.Reply{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a) // who has not got it calls again
}

// stream says each reply letter by letter, and then as a whole. The turn ends only with
// the end of the body.
func (b *bot) stream(w http.ResponseWriter, wish wish) {
	head, before, after := "application/x-ndjson", "", "\n"
	if wish.Want == sse {
		head, before, after = "text/event-stream", "data: ", "\n\n"
	}
	w.Header().Set("Content-Type", head)
	for k := range wish.Replies {
		text := reply(wish.Text, k+1)
		for len(text) > 0 {
			n := min(4, len(text))
			fmt.Fprintf(w, `%s{"delta":{"text":%q}}%s`, before, text[:n], after)
			text = text[n:]
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprintf(w, `%s{"message":{"text":%q}}%s`, before, reply(wish.Text, k+1), after)
	}
}

// push says what is wished unasked, each until it is stored. Pushes of another call for
// the same message have the same ids.
func (b *bot) push(conversation string, wish wish) {
	for k := range wish.Replies {
		id := "push-" + wish.Text + "-" + strconv.Itoa(k+1)
		body := fmt.Sprintf(`{"id":%q,"body":{"text":%q}}`, id, reply(wish.Text, k+1))
		for b.post(conversation, body) != nil {
			if pause(b.ctx, 100*time.Millisecond) != nil {
				return
			}
		}
	}
}

func (b *bot) post(conversation, body string) error {
	target := "http://" + b.run.node() + "/chat/v1/conversations/" + conversation + "/messages"
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, target, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.run.c.BotToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.run.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("push answered %d", resp.StatusCode)
	}
	return nil
}
