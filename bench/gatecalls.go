package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/securesession"
)

// moment is when messages of one conversation come at once.
type moment struct {
	after        time.Duration // the moment before is over
	conversation string
	tokens       []string // of the messages, in the order of their arrival; "": without one
	revision     int      // of the authorizer
}

// verdicts are the authorizer's, by tokens. Any other one is let in.
var verdicts = map[string]securesession.Answer{
	"brief": {Class: securesession.Yes, Bounded: true, MaxAge: 3 * time.Second},
	"once":  {Class: securesession.Yes, Bounded: true},
	"bad":   {Class: securesession.No},
	"odd":   {Class: securesession.Failure},
}

func verdictOn(token string) securesession.Answer {
	if a, ok := verdicts[token]; ok {
		return a
	}
	return securesession.Answer{Class: securesession.Yes}
}

// trace is the same at each run: minutes of forty conversations, some of which insist for
// a while.
func trace() (out []moment) {
	r := rand.New(rand.NewPCG(6, 22)) //nolint:gosec // no secrets
	usual := []string{"good", "good", "good", "good", "better", "brief", "once", "bad", "odd", ""}
	conversation, token := 0, usual[0]
	for i := range 1000 {
		m := moment{after: time.Duration(r.IntN(1000)) * time.Millisecond, revision: i / 400}
		insists := i%50 < 8
		switch {
		case insists:
			m.after /= 10
		case r.IntN(4) > 0:
			conversation, token = r.IntN(40), usual[r.IntN(len(usual))]
		}
		m.conversation = "cnv_" + strconv.Itoa(conversation)
		for range 1 + r.IntN(4) {
			switch {
			case insists:
				token = []string{"bad", "odd"}[r.IntN(2)]
			case r.IntN(5) == 0:
				token = usual[r.IntN(len(usual))]
			}
			m.tokens = append(m.tokens, token)
		}
		out = append(out, m)
	}
	return out
}

// asking is how long the authorizer takes.
const asking = 200 * time.Millisecond

// witness is an authorizer that notes when it was asked about whom. It has a clock of its
// own, which goes on when it is asked.
type witness struct {
	now      atomic.Int64 // nanoseconds
	revision int
	mu       sync.Mutex // held while the messages of a moment come
	calls    []string
}

func (w *witness) clock() time.Time { return time.Unix(1_780_000_000, w.now.Load()) }

func (w *witness) Revision() string { return strconv.Itoa(w.revision) }

func (w *witness) Learn(context.Context) {}

func (w *witness) Read(object json.RawMessage) (securesession.Inputs, bool) {
	token := tokenIn(object)
	return securesession.Inputs{"token": json.RawMessage(strconv.Quote(token))}, token == ""
}

func tokenIn(object json.RawMessage) string {
	var members struct{ SecureTokenForUser string }
	_ = json.Unmarshal(object, &members) // of our own making
	return members.SecureTokenForUser
}

func (w *witness) Check(_ context.Context, k securesession.Key, s securesession.Subject) securesession.Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	token := tokenIn(s.Context)
	w.calls = append(w.calls, note(k.Conversation, token, time.Duration(w.now.Load())))
	w.now.Add(int64(asking))
	return verdictOn(token)
}

func note(conversation, token string, at time.Duration) string {
	return fmt.Sprint(conversation, " ", token, " ", at)
}

// measureCalls runs a trace through a gate, and through a model of it.
func measureCalls(ctx context.Context, dir string, report func(Result)) error {
	policy := &securesession.Policy{Interval: time.Minute, DenyInterval: 5 * time.Second, Timeout: 10 * time.Second, MaxPending: 32, HonourMaxAge: true}
	w, model, messages := &witness{}, &reference{interval: policy.Interval, deny: policy.DenyInterval, known: map[string]*standing{}}, 0
	guard := &securesession.Guard{Policy: policy, Authorizer: w}
	return withGate(ctx, dir, securesession.Config{Clock: w.clock, Sweep: time.Hour}, guard, func(g *securesession.Gate, _ *askedStore) error {
		w.calls, model.now = nil, time.Duration(w.now.Load())
		for _, m := range trace() {
			w.run(ctx, g, m)
			model.run(m)
			messages += len(m.tokens)
		}
		value, reference := float64(len(w.calls)), float64(len(model.calls))
		target := fmt.Sprintf("the model's calls, of %d messages", messages)
		same := slices.Equal(w.calls, model.calls)
		if !same {
			i := 0
			for i < min(len(w.calls), len(model.calls)) && w.calls[i] == model.calls[i] {
				i++
			}
			target += fmt.Sprintf("; call %d is another", i)
		}
		report(Result{"gate/calls", value, "calls", reference, value / reference, target, same})
		return nil
	})
}

func (w *witness) run(ctx context.Context, g *securesession.Gate, m moment) {
	w.now.Add(int64(m.after))
	w.revision = m.revision
	var tickets []*securesession.Ticket
	w.mu.Lock()
	for _, token := range m.tokens {
		tickets = append(tickets, g.Enter(ctx, askFor(m.conversation, token)))
	}
	w.mu.Unlock()
	for _, t := range tickets {
		_ = t.Wait(ctx) // who is let in is no matter here
	}
}

// reference is the gate in a few lines: whom it asks about, and when.
type reference struct {
	interval, deny, now time.Duration
	known               map[string]*standing
	calls               []string
}

// standing is that of a conversation.
type standing struct {
	of         string // whom it is about
	until      time.Duration
	shut       time.Duration
	struck     bool
	calledTill time.Duration // one call a second, or five at once
}

func (r *reference) run(m moment) {
	r.now += m.after
	s := r.known[m.conversation]
	if s == nil {
		s = &standing{}
		r.known[m.conversation] = s
	}
	for queue := m.tokens; len(queue) > 0; {
		token, settled := queue[0], 1
		of := fmt.Sprint(token, " ", m.revision)
		next := max(s.calledTill, r.now) + time.Second
		switch {
		case token == "":
			*s = standing{struck: s.struck, calledTill: s.calledTill}
		case s.of == of && r.now < max(s.until, s.shut):
		case s.struck && next > r.now+5*time.Second:
		default:
			if s.struck {
				s.calledTill = next
			}
			start, a := r.now, verdictOn(token)
			r.calls = append(r.calls, note(m.conversation, token, start))
			r.now += asking
			*s = standing{of: of, struck: a.Class != securesession.Yes, calledTill: s.calledTill}
			switch {
			case a.Class == securesession.No:
				s.shut = r.now + r.deny
			case a.Class == securesession.Yes && a.Bounded:
				s.until = start + min(a.MaxAge, r.interval)
			case a.Class == securesession.Yes:
				s.until = start + r.interval
			}
			for shared := s.struck || s.until > start; shared && settled < len(queue) && queue[settled] == token; {
				settled++
			}
		}
		queue = queue[settled:]
	}
}
