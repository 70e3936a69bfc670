package securesession

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script drives one machine, and writes down what it wants.
type script struct {
	m   *Machine
	p   *Policy
	now time.Time
	log []string
	id  uint64
}

func newScript(edit func(*Policy)) *script {
	p := &Policy{Interval: 10 * time.Second, Timeout: 3 * time.Second, MaxPending: 4, HonourMaxAge: true}
	if edit != nil {
		edit(p)
	}
	return &script{m: NewMachine(), p: p, now: at(0)}
}

func (s *script) step(e Event) {
	for _, a := range s.m.Step(s.now, e) {
		s.log = append(s.log, show(a))
	}
}

// show is an action in few words.
func show(a Action) string {
	switch a := a.(type) {
	case Pass:
		return fmt.Sprintf("pass %d %s", a.ID, a.Source)
	case Block:
		return strings.TrimSuffix(fmt.Sprintf("block %d %s %s %v", a.ID, string(a.Reason), a.Source, a.RetryAfter), " 0s")
	case Tell:
		return fmt.Sprintf("tell %s", a.Standing)
	case Acquire:
		return "acquire"
	case Call:
		return fmt.Sprintf("call for %d", a.Message)
	case Save:
		return fmt.Sprintf("save %v", []string{"none", "allowed", "denied", "failed"}[a.Record.State])
	case Release:
		return "release"
	default:
		return "delete"
	}
}

func (s *script) send(inputs byte) { s.sendAs(Message{Print: printOf(inputs)}) }

func (s *script) sendAs(m Message) {
	s.id++
	m.ID, m.Policy = s.id, s.p
	s.step(m)
}

func (s *script) flight() uint64 { return s.m.flight.id }

func (s *script) lease()          { s.step(Leased{Flight: s.flight()}) }
func (s *script) answer(a Answer) { s.step(Answered{s.flight(), a}) }
func (s *script) say(c Class)     { s.answer(Answer{Class: c}) }
func (s *script) save()           { s.step(Saved{Flight: s.flight()}) }
func (s *script) wait(ticks int)  { s.now = s.now.Add(time.Duration(ticks) * tick) }

// ask sends a message, and has it answered.
func (s *script) ask(inputs byte, c Class) {
	s.send(inputs)
	s.lease()
	s.say(c)
	s.save()
}

// anew forgets what was written down.
func (s *script) anew() { s.log = nil }

// TestRows has each row of the table, by its number.
func TestRows(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*Policy)
		play func(*script)
		want []string
	}{
		"1 a bot that does not run": {nil, func(s *script) {
			s.ask(1, Yes)
			s.anew()
			s.sendAs(Message{Print: printOf(1), Stopped: true})
		}, []string{"block 2 bot_not_running local"}},
		"2 an answer that is good": {nil, func(s *script) {
			s.ask(1, Yes)
			s.anew()
			s.wait(9)
			s.send(1)
		}, []string{"pass 2 cache"}},
		"2 traffic does not extend it": {nil, func(s *script) {
			s.ask(1, Yes)
			s.wait(9)
			s.send(1)
			s.anew()
			s.wait(1)
			s.send(1)
		}, []string{"acquire"}},
		"3 no credential": {nil, func(s *script) {
			s.sendAs(Message{Print: printOf(1), Missing: true})
			s.sendAs(Message{Print: printOf(1), Missing: true})
		}, []string{
			"save denied", "block 1 credential_missing local", "tell locked",
			"block 2 credential_missing local", "tell locked",
		}},
		"3 a yes for a credential is over without it": {nil, func(s *script) {
			s.ask(1, Yes)
			s.anew()
			s.sendAs(Message{Print: printOf(2), Missing: true})
			s.send(1)
		}, []string{"save denied", "block 2 credential_missing local", "tell locked", "acquire"}},
		"4 a restricted actor": {nil, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.anew()
			s.send(1)
			s.lease()
			s.answer(Answer{Class: Barred, RetryAfter: time.Minute})
		}, []string{"acquire", "call for 2", "block 2 restricted restricted 1m0s", "tell locked", "release"}},
		"5 an open breaker": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.answer(Answer{Class: Open, RetryAfter: 5 * time.Second})
		}, []string{"acquire", "call for 1", "block 1 temporarily_unavailable breaker 5s", "tell unavailable", "release"}},
		"5 an open breaker in grace": {withGrace, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.anew()
			s.send(1)
			s.lease()
			s.say(Open)
		}, []string{"acquire", "call for 2", "pass 2 grace", "release"}},
		"6 the first message": {nil, func(s *script) {
			s.send(1)
		}, []string{"acquire"}},
		"6 after a failure": {nil, func(s *script) {
			s.ask(1, Failure)
			s.anew()
			s.send(1)
		}, []string{"acquire"}},
		"7 joins a flight": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.wait(2)
			s.send(1)
			s.say(Yes)
			s.save()
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 1 call", "pass 2 call"}},
		"7 an interval of zero shares nothing": {func(p *Policy) { p.Interval = 0 }, func(s *script) {
			s.send(1)
			s.send(1)
			s.lease()
			s.say(Yes)
			s.save()
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 1 call", "acquire"}},
		"8 too many wait": {nil, func(s *script) {
			s.send(1)
			for range 4 {
				s.send(1)
			}
		}, []string{"acquire", "block 5 busy local 1s"}},
		"9 other inputs": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.send(2)
			s.send(1)
			s.say(Yes)
			s.save()
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 1 call", "acquire"}},
		"9 too late to join": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.wait(10)
			s.send(1)
			s.say(Yes)
			s.save()
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 1 call", "acquire"}},
		"10 good for no longer than the answer says": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.answer(Answer{Class: Yes, Bounded: true, MaxAge: 3 * time.Second})
			s.save()
			s.wait(2)
			s.send(1)
			s.wait(1)
			s.send(1)
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 1 call", "pass 2 cache", "acquire"}},
		"10 never longer than the interval": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.answer(Answer{Class: Yes, Bounded: true, MaxAge: time.Hour})
			s.save()
			s.anew()
			s.wait(10)
			s.send(1)
		}, []string{"acquire"}},
		"10 counts from the start of the call": {nil, func(s *script) {
			s.send(1)
			s.wait(1)
			s.lease()
			s.wait(3)
			s.say(Yes)
			s.wait(1)
			s.save()
			s.anew()
			s.wait(5)
			s.send(1)
			s.wait(1)
			s.send(1)
		}, []string{"pass 2 cache", "acquire"}},
		"11 a refusal": {nil, func(s *script) {
			s.send(1)
			s.send(1)
			s.lease()
			s.say(No)
			s.save()
		}, []string{
			"acquire", "call for 1", "save denied",
			"block 1 unauthorized call", "block 2 unauthorized call", "tell locked",
		}},
		"12 a failure": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.answer(Answer{Class: Failure, RetryAfter: 7 * time.Second})
			s.save()
		}, []string{"acquire", "call for 1", "save failed", "block 1 temporarily_unavailable call 7s", "tell unavailable"}},
		"13 a refusal ends a yes": {withGrace, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.ask(1, No)
			s.anew()
			s.ask(1, Failure)
		}, []string{"acquire", "call for 3", "save failed", "block 3 temporarily_unavailable call", "tell unavailable"}},
		"14 grace": {withGrace, func(s *script) {
			s.ask(1, Yes)
			s.wait(14)
			s.anew()
			s.ask(1, Failure)
			s.wait(1)
			s.ask(1, Failure)
		}, []string{
			"acquire", "call for 2", "pass 2 grace", "release",
			"acquire", "call for 3", "save failed", "block 3 temporarily_unavailable call", "tell unavailable",
		}},
		"14 no grace for what is misconfigured": {withGrace, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.anew()
			s.ask(1, Misconfigured)
		}, []string{"acquire", "call for 2", "save failed", "block 2 temporarily_unavailable call", "tell unavailable"}},
		"15 a refusal is kept": {func(p *Policy) { p.DenyInterval = 5 * time.Second }, func(s *script) {
			s.ask(1, No)
			s.anew()
			s.wait(4)
			s.send(1)
			s.wait(1)
			s.send(1)
		}, []string{"block 2 unauthorized cache", "tell locked", "acquire"}},
		"15 calls are paced": {nil, func(s *script) {
			for range 6 {
				s.ask(1, No)
			}
			s.anew()
			s.send(1)
			s.wait(1)
			s.send(1)
		}, []string{"block 7 busy local 5s", "acquire"}},
		"16 a change of the context": {nil, func(s *script) {
			s.ask(1, Yes)
			s.anew()
			s.send(2)
			s.lease()
			s.say(No)
			s.save()
		}, []string{"acquire", "call for 2", "save denied", "block 2 unauthorized call", "tell locked"}},
		"17 a change of the configuration": {nil, func(s *script) {
			s.ask(1, Yes)
			s.anew()
			s.p = &Policy{Interval: time.Hour, MaxPending: 1}
			s.sendAs(Message{Print: Print{Inputs: [32]byte{1}, Revision: [32]byte{1}}})
		}, []string{"acquire"}},
		"18 a waiter leaves": {nil, func(s *script) {
			s.send(1)
			s.send(1)
			s.lease()
			s.step(Leave{1})
			s.say(Yes)
			s.save()
			s.send(1)
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 2 call", "pass 3 cache"}},
		"18 all leave": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.step(Leave{1})
			s.say(Yes)
			s.save()
			s.send(1)
		}, []string{"acquire", "call for 1", "save allowed", "tell secured", "pass 2 cache"}},
		"18 all leave before the call": {nil, func(s *script) {
			s.send(1)
			s.step(Leave{1})
			s.lease()
		}, []string{"acquire", "release"}},
		"19 another node's yes": {nil, func(s *script) {
			s.send(1)
			r := Record{State: Allowed, Print: printOf(1), Began: s.now, Until: s.now.Add(time.Hour)}
			s.step(Leased{Flight: s.flight(), Record: r})
			s.wait(9)
			s.send(1)
			s.wait(1)
			s.send(1)
		}, []string{"acquire", "tell secured", "pass 1 cache", "release", "pass 2 cache", "acquire"}},
		"19 another node's no, by a clock that is ahead": {func(p *Policy) { p.DenyInterval = 5 * time.Second }, func(s *script) {
			s.send(1)
			ahead := s.now.Add(time.Hour)
			s.step(Leased{Flight: s.flight(), Record: Record{State: Denied, Print: printOf(1), Began: ahead, At: ahead, Reason: Unauthorized}})
			s.wait(4)
			s.send(1)
			s.wait(1)
			s.send(1)
		}, []string{"acquire", "block 1 unauthorized cache", "tell locked", "release", "block 2 unauthorized cache", "tell locked", "acquire"}},
		"19 another node's newer no": {withGrace, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.anew()
			s.send(1)
			s.step(Leased{Flight: s.flight(), Record: Record{State: Denied, Print: printOf(1), Began: s.now}})
			s.say(Failure)
			s.save()
		}, []string{"acquire", "call for 2", "save failed", "block 2 temporarily_unavailable call", "tell unavailable"}},
		"20 a store that cannot be read": {withGrace, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.anew()
			s.send(1)
			s.step(Leased{Flight: s.flight(), Unread: true})
			s.say(Failure)
		}, []string{"acquire", "call for 2", "save failed"}},
		"21 another node asks": {nil, func(s *script) {
			s.send(1)
			s.step(Leased{Flight: s.flight(), Elsewhere: true})
			s.wait(4)
			s.lease()
		}, []string{"acquire", "acquire", "call for 1"}},
		"21 another node asks without end": {nil, func(s *script) {
			s.send(1)
			s.wait(8)
			s.step(Leased{Flight: s.flight(), Elsewhere: true})
		}, []string{"acquire", "block 1 busy local 1s"}},
		"21 a late answer": {nil, func(s *script) {
			s.send(1)
			s.lease()
			s.say(Yes)
			s.step(Saved{Flight: s.flight(), Lost: true, Stands: Record{State: Denied, Print: printOf(1), Began: s.now.Add(1)}})
		}, []string{"acquire", "call for 1", "save allowed", "acquire"}},
		"22 the end": {nil, func(s *script) {
			s.ask(1, Yes)
			s.wait(10)
			s.anew()
			s.send(1)
			s.step(End{})
			s.step(Leased{Flight: 2})
			s.send(1)
		}, []string{"acquire", "block 2 temporarily_unavailable local", "delete", "acquire"}},
		"22 what was under way then says nothing": {nil, func(s *script) {
			s.send(1)
			s.step(End{})
			s.anew()
			s.send(1)
			s.step(Leased{Flight: 1, Record: Record{State: Allowed, Print: printOf(1), Began: s.now, Until: s.now.Add(time.Hour)}})
			s.lease()
			s.step(Answered{1, Answer{Class: Yes}})
			s.say(No)
			s.step(Saved{Flight: 1, Lost: true})
			s.save()
		}, []string{"acquire", "call for 2", "save denied", "block 2 unauthorized call", "tell locked"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(tc.edit)
			tc.play(s)
			if diff := cmp.Diff(tc.want, s.log); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func withGrace(p *Policy) { p.Grace = 5 * time.Second }

// TestRecords looks at what is saved.
func TestRecords(t *testing.T) {
	t.Parallel()
	s := newScript(nil)
	s.ask(1, No)
	s.ask(1, Failure)
	s.ask(1, Failure)
	want := Record{
		State: Failed, Print: printOf(1), Began: s.now.Add(2), At: s.now, Reason: Unavailable, Failures: 2,
	}
	if diff := cmp.Diff(want, s.m.Record()); diff != "" {
		t.Error(diff)
	}
	s.wait(1)
	s.ask(2, Yes)
	want = Record{State: Allowed, Print: printOf(2), Began: s.now, Until: s.now.Add(10 * tick)}
	if diff := cmp.Diff(want, s.m.Record()); diff != "" {
		t.Error(diff)
	}
	s.wait(1)
	called := s.now
	s.send(3)
	s.lease()
	s.wait(2)
	s.say(No)
	s.save()
	want = Record{State: Denied, Print: printOf(3), Began: called, At: s.now, Reason: Unauthorized, Denials: 1}
	if diff := cmp.Diff(want, s.m.Record()); diff != "" {
		t.Error(diff)
	}
}
