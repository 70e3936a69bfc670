package soak

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// history does edit to the one history that it can be done to, and gives everybody the
// result: it is the history that is wrong then, and not what clients were given.
func (r *Record) history(edit func(h []Message) ([]Message, bool)) bool {
	for i := range len(r.Histories) {
		id := fmt.Sprintf("cnv_%d", i)
		h, ok := edit(slices.Clone(r.Histories[id]))
		if !ok {
			continue
		}
		r.Histories[id] = h
		for j := range r.Clients {
			if r.Clients[j].Conversation == id {
				r.Clients[j].Streams = []Stream{{0, slices.Clone(h)}}
			}
		}
		return true
	}
	return false
}

// number gives messages the numbers of their places.
func number(h []Message) []Message {
	for i := range h {
		h[i].Seq = int64(i) + 1
	}
	return h
}

// where finds a message; -1 if there is none.
func where(h []Message, from string, fits func(w wish, id string) bool) int {
	return slices.IndexFunc(h, func(m Message) bool { return m.From == from && fits(wishOf(m.Body), m.ID) })
}

func drop(from string, fits func(w wish, id string) bool) func(*Record) bool {
	return func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) {
			i := where(h, from, fits)
			if i < 0 {
				return h, false
			}
			return number(slices.Delete(h, i, i+1)), true
		})
	}
}

// again puts a copy of a message, under another id, at the end.
func again(from string, fits func(w wish, id string) bool) func(*Record) bool {
	return func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) {
			i := where(h, from, fits)
			if i < 0 {
				return h, false
			}
			m := h[i]
			m.ID += "-again"
			return number(append(h, m)), true
		})
	}
}

func appended(m Message) func(*Record) bool {
	return func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) { return number(append(h, m)), true })
	}
}

// given edits what the first client with enough messages on one connection was given.
func given(least int, edit func(s *Stream)) func(*Record) bool {
	return func(r *Record) bool {
		for i := range r.Clients {
			for j := range r.Clients[i].Streams {
				if s := &r.Clients[i].Streams[j]; len(s.Messages) >= least {
					edit(s)
					return true
				}
			}
		}
		return false
	}
}

// acked edits the first ack.
func acked(edit func(a *Ack)) func(*Record) bool {
	return func(r *Record) bool {
		for i := range r.Clients {
			if acks := r.Clients[i].Acks; len(acks) > 0 {
				edit(&acks[0])
				return true
			}
		}
		return false
	}
}

// lastCalls edits the calls for the last message of the first client's conversation.
func lastCalls(edit func(c Call) []Call) func(*Record) bool {
	return func(r *Record) bool {
		var calls []Call
		id := r.Clients[0].Conversation
		h := r.Histories[id]
		slices.Reverse(h)
		last := h[where(h, "user", anyone)].ID
		slices.Reverse(h)
		for _, c := range r.Calls {
			if c.Conversation == id && c.ID == last {
				calls = append(calls, edit(c)...)
			} else {
				calls = append(calls, c)
			}
		}
		r.Calls = calls
		return true
	}
}

func anyone(wish, string) bool { return true }

func saying(prefix string) func(w wish, id string) bool {
	return func(w wish, _ string) bool { return strings.HasPrefix(w.Text, prefix) }
}

func pushed(_ wish, id string) bool   { return strings.HasPrefix(id, "push-") }
func answered(_ wish, id string) bool { return strings.HasPrefix(id, "bot-") }

// mutants are ways in which a run can go wrong, each with what Check is to say of it.
// What a mutant returns is whether the record had what it changes.
var mutants = map[string]struct {
	change func(*Record) bool
	say    string
}{
	"an acknowledged message is lost": {func(r *Record) bool {
		id := ""
		acked(func(a *Ack) { id = a.ID })(r)
		return drop("user", func(w wish, _ string) bool { return w.Text == id })(r)
	}, "stands at 0"},
	"a message stands twice": {again("user", anyone), "nobody sent"},
	"a message stands twice under its id": {func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) { return number(append(h, h[where(h, "user", anyone)])), true })
	}, "stands at"},
	"a number is missing": {func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) {
			h[len(h)-1].Seq++
			return h, true
		})
	}, "is due"},
	"a stranger speaks": {appended(Message{ID: "x", From: "user", Body: `{"text":"x"}`}), "nobody sent x"},
	"words are changed": {func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) {
			h[where(h, "user", anyone)].Body = `{"text":"hm","want":"none"}`
			return h, true
		})
	}, "and stands as"},
	"a conversation is lost": {func(r *Record) bool {
		delete(r.Histories, "cnv_0")
		return true
	}, "has no history"},
	"a user has two conversations": {func(r *Record) bool {
		r.Clients[len(r.Clients)-1].User = r.Clients[0].User
		return true
	}, "another client of"},

	"acknowledged as another": {acked(func(a *Ack) { a.Seq++ }), "was acknowledged"},
	"acknowledged for later":  {acked(func(a *Ack) { a.At += "0" }), "stands there at"},
	"acknowledged in vain":    {acked(func(a *Ack) { a.ID = "x" }), "stands at 0"},
	"refused and stored": {func(r *Record) bool {
		id := r.Histories["cnv_0"][where(r.Histories["cnv_0"], "user", anyone)].ID
		for i := range r.Clients[0].Sends {
			if s := &r.Clients[0].Sends[i]; s.ID == id {
				s.Refused = true
				return true
			}
		}
		return false
	}, "was refused"},
	"no outcome": {func(r *Record) bool {
		r.Clients[0].Sends = append(r.Clients[0].Sends, Send{ID: "x", Body: "{}"})
		return true
	}, "has no outcome"},
	"one client's order is turned": {func(r *Record) bool {
		for _, c := range r.Clients {
			for i := range len(c.Sends) - 1 {
				a, b := c.Sends[i], c.Sends[i+1]
				if !a.Refused && !b.Refused && !a.Delayed && !b.Delayed {
					c.Sends[i], c.Sends[i+1] = b, a
					return true
				}
			}
		}
		return false
	}, "behind one that was sent later"},

	"a message is not given":    {given(3, func(s *Stream) { s.Messages = slices.Delete(s.Messages, 1, 2) }), "is due"},
	"a message is given twice":  {given(2, func(s *Stream) { s.Messages = slices.Insert(s.Messages, 1, s.Messages[0]) }), "is due"},
	"two are given in turn":     {given(2, func(s *Stream) { s.Messages[0], s.Messages[1] = s.Messages[1], s.Messages[0] }), "is due"},
	"another is given":          {given(1, func(s *Stream) { s.Messages[0].ID = "x" }), "which the history has not"},
	"other words are given":     {given(1, func(s *Stream) { s.Messages[0].Body = "{}" }), "which the history has not"},
	"it is given at other time": {given(1, func(s *Stream) { s.Messages[0].At = "x" }), "which the history has not"},
	"the end is not given": {func(r *Record) bool {
		c := &r.Clients[0]
		c.Streams = []Stream{{0, slices.Clone(r.Histories[c.Conversation][:1])}}
		return true
	}, "was given 1 messages of"},
	"a number without a message": {given(1, func(s *Stream) { s.Messages[0].Seq = -1 }), "which the history has not"},
	"a connection begins anew": {func(r *Record) bool {
		c := &r.Clients[0]
		c.Streams = append(c.Streams, Stream{0, slices.Clone(r.Histories[c.Conversation])})
		return true
	}, "asks for those after 0"},

	"a call is forged":             {func(r *Record) bool { r.Forged = 1; return true }, "not signed right"},
	"the bot is never called":      {lastCalls(func(Call) []Call { return nil }), "was never called"},
	"the bot never answers":        {lastCalls(func(c Call) []Call { c.Answered = 0; return []Call{c} }), "has never answered"},
	"the bot is told other words":  {lastCalls(func(c Call) []Call { c.Body = "{}"; return []Call{c} }), "which the history has not"},
	"the bot is told other number": {lastCalls(func(c Call) []Call { c.Seq--; return []Call{c} }), "which the history has not"},
	"the bot is told of nothing": {lastCalls(func(c Call) []Call {
		c.ID, c.Seq = "x", 1<<40
		return []Call{c}
	}), "which the history has not"},
	"the bot is called elsewhere": {lastCalls(func(c Call) []Call { c.Conversation = "x"; return []Call{c} }), "which nobody has"},
	"the bot is called too soon":  {lastCalls(func(c Call) []Call { c.Began = 0; return []Call{c} }), "before it had answered"},
	"the bot is called in other order": {func(r *Record) bool {
		slices.Reverse(r.Calls)
		return true
	}, "the bot was called for"},

	"an answer is lost":             {drop("bot", answered), "message"},
	"an answer comes twice":         {again("bot", answered), "is not what the bot owes"},
	"the end gives up nothing":      {appended(Message{ID: "x", From: "system", Body: `{"text":"sorry"}`}), "gives up a turn"},
	"a turn is given up in silence": {drop("system", anyone), "message"},
	"a push is lost":                {drop("bot", pushed), "pushes are missing"},
	"a push comes twice":            {again("bot", pushed), "is not what the bot owes"},
	"no welcome":                    {drop("bot", saying(welcome)), "welcome"},
	"two welcomes":                  {again("bot", saying(welcome)), "is not what the bot owes"},
	"the bot says what nobody asked": {
		appended(Message{ID: "x", From: "bot", Body: `{"text":"re x 1"}`}), "is not what the bot owes",
	},
	"an answer is torn": {func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) {
			for i := range len(h) - 1 {
				if strings.HasSuffix(h[i].ID, "-1") && answered(wish{}, h[i].ID) && h[i+1].ID == strings.TrimSuffix(h[i].ID, "1")+"2" {
					torn := Message{ID: "x", From: "system", Body: `{}`}
					return number(slices.Insert(h, i+1, torn)), true
				}
			}
			return h, false
		})
	}, "stands inside an answer"},
	"answers are turned": {func(r *Record) bool {
		return r.history(func(h []Message) ([]Message, bool) {
			i := where(h, "bot", answered)
			for j := i + 1; i >= 0 && j < len(h); j++ {
				if answered(wish{}, h[j].ID) {
					h[i], h[j] = h[j], h[i]
					return number(h), true
				}
			}
			return h, false
		})
	}, "is not what the bot owes"},
}

func TestCheckFindsNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		if wrong := Check(simulate(seed)); len(wrong) > 0 {
			t.Fatalf("seed %d: %q", seed, wrong)
		}
	}
}

func TestCheckFindsMutants(t *testing.T) {
	t.Parallel()
	for name, tc := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := simulate(0)
			for seed := uint64(1); !tc.change(&r); seed++ {
				if r = simulate(seed); seed == 100 {
					t.Fatal("no run has what it changes")
				}
			}
			wrong := Check(r)
			if !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, tc.say) }) {
				t.Errorf("found %q, want one with %q", wrong, tc.say)
			}
		})
	}
}

// TestDebts shows what is owed while a conversation goes on.
func TestDebts(t *testing.T) {
	t.Parallel()
	var d debts
	for _, step := range []struct {
		from, body, wrong, left string
	}{
		{"user", encode(wish{Text: "m", Want: say, Replies: 2}), "", "there is no welcome"},
		{"bot", texted(welcome), "", "1 messages have no whole answer, first m (say)"},
		{"bot", texted("re m 1"), "", "1 messages have no whole answer, first m (say)"},
		{"bot", texted("re m 2"), "", ""},
		{"user", encode(wish{Text: "n", Want: push, Replies: 1}), "", `1 pushes are missing, such as "re n 1"`},
		{"bot", texted("re n 1"), "", ""},
		{"user", encode(wish{Text: "o", Want: refuse, Replies: 1}), "", "1 messages have no whole answer, first o (refuse)"},
		{"system", texted("sorry"), "", ""},
		{"user", encode(wish{Text: "p", Want: none}), "", ""},
		{"system", texted("sorry"), "gives up a turn that has an answer", ""},
	} {
		if wrong := d.take(Message{From: step.from, Body: step.body}); wrong != step.wrong {
			t.Errorf("%s: %q, want %q", step.body, wrong, step.wrong)
		}
		if left := d.left(); left != step.left {
			t.Errorf("after %s %q is left, want %q", step.body, left, step.left)
		}
	}
}

// FuzzCheck has a correct run pass, and none of the mutants.
func FuzzCheck(f *testing.F) {
	var names []string
	for name := range mutants {
		names = append(names, name)
	}
	slices.Sort(names)
	f.Add(uint64(1), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, mutant uint8) {
		r := simulate(seed)
		if wrong := Check(r); len(wrong) > 0 {
			t.Fatalf("a correct run: %q", wrong)
		}
		name := names[int(mutant)%len(names)]
		if mutants[name].change(&r) && len(Check(r)) == 0 {
			t.Errorf("not found: %s", name)
		}
	})
}
