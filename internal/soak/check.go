package soak

import (
	"fmt"
	"maps"
	"slices"
)

// Check returns what is wrong with a run that has become quiet, nothing if all of this
// holds:
//
//   - A conversation's history has the numbers from 1 on without a gap, and no id twice.
//     It has what somebody sent, and nothing else.
//   - What was acknowledged stands where the acknowledgement says; what was refused for
//     good is not there; there is no third outcome. One client's messages stand in the
//     order in which they were sent, but for those that were delayed.
//   - Every client has the whole history once and in order, over all its connections.
//   - The bot was called for each message of a user and for no other, the first time in
//     their order, and only after it had answered the message before.
//   - Each message has its answer once, whole and in order.
func Check(r Record) []string {
	k := &checker{record: r, users: map[string]string{}, talks: map[string]*talk{}}
	if r.Forged > 0 {
		k.bad("%d calls of the bot were not signed right", r.Forged)
	}
	for id, history := range r.Histories {
		k.talks[id] = &talk{id: id, history: history, place: map[string]int64{}, sends: map[string]Send{}}
	}
	for i := range r.Clients {
		k.assign(&r.Clients[i])
	}
	for _, c := range r.Calls {
		if t := k.talks[c.Conversation]; t != nil {
			t.calls = append(t.calls, c)
		} else {
			k.bad("the bot was called for the conversation %s, which nobody has", c.Conversation)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.talks)) {
		t := k.talks[id]
		k.order(t)
		k.words(t)
		for _, c := range t.clients {
			k.outcomes(t, c)
			k.streams(t, c)
		}
		k.calls(t)
		k.answers(t)
	}
	return k.found
}

// talk is all that the record has about one conversation.
type talk struct {
	id      string
	history []Message
	clients []*Client
	calls   []Call
	place   map[string]int64 // of each message, from 1 on
	sends   map[string]Send  // of all clients
}

type checker struct {
	record Record
	users  map[string]string // their conversations
	talks  map[string]*talk
	found  []string
}

func (k *checker) bad(format string, args ...any) {
	k.found = append(k.found, fmt.Sprintf(format, args...))
}

// assign puts a client to its conversation, which is that of all clients of its user.
func (k *checker) assign(c *Client) {
	t := k.talks[c.Conversation]
	if t == nil {
		k.bad("%s has the conversation %q, which has no history", c.Name, c.Conversation)
		return
	}
	if other, ok := k.users[c.User]; ok && other != t.id {
		k.bad("%s talks in %s, another client of %s in %s", c.Name, t.id, c.User, other)
	}
	k.users[c.User] = t.id
	t.clients = append(t.clients, c)
	for _, s := range c.Sends {
		t.sends[s.ID] = s
	}
}

// order checks numbers and ids.
func (k *checker) order(t *talk) {
	for i, m := range t.history {
		if m.Seq != int64(i)+1 {
			k.bad("%s: message %d stands where %d is due", t.id, m.Seq, i+1)
		}
		if at, twice := t.place[m.ID]; twice {
			k.bad("%s: %s stands at %d and at %d", t.id, m.ID, at, i+1)
		}
		t.place[m.ID] = int64(i) + 1
	}
}

// words checks that what users are said to have said they have said. What the bot and
// the system say, answers checks.
func (k *checker) words(t *talk) {
	for _, m := range t.history {
		if m.From != "user" {
			continue
		}
		s, ok := t.sends[m.ID]
		switch {
		case !ok:
			k.bad("%s: nobody sent %s", t.id, m.ID)
		case s.Body != m.Body:
			k.bad("%s: %s was sent as %.200s and stands as %.200s", t.id, m.ID, s.Body, m.Body)
		}
	}
}

// outcomes checks what a client was told of its messages.
func (k *checker) outcomes(t *talk, c *Client) {
	acked := map[string]bool{}
	for _, a := range c.Acks {
		acked[a.ID] = true
		if at := t.place[a.ID]; at != a.Seq {
			k.bad("%s: %s was acknowledged to %s as %d and stands at %d", t.id, a.ID, c.Name, a.Seq, at)
		} else if m := t.history[at-1]; m.At != a.At {
			k.bad("%s: %s was acknowledged to %s at %s and stands there at %s", t.id, a.ID, c.Name, a.At, m.At)
		}
	}
	for _, s := range c.Streams {
		for _, m := range s.Messages {
			acked[m.ID] = true // who sees a message of its own needs no other answer
		}
	}
	before := int64(0)
	for _, s := range c.Sends {
		at := t.place[s.ID]
		switch {
		case s.Refused && at > 0:
			k.bad("%s: %s was refused to %s and stands at %d", t.id, s.ID, c.Name, at)
		case s.Refused && acked[s.ID]:
			k.bad("%s: %s was refused to %s, and acknowledged", t.id, s.ID, c.Name)
		case !s.Refused && !acked[s.ID]:
			k.bad("%s: %s of %s has no outcome", t.id, s.ID, c.Name)
		case s.Delayed || s.Refused:
		case at < before:
			k.bad("%s: %s of %s stands at %d, behind one that was sent later", t.id, s.ID, c.Name, at)
		default:
			before = at
		}
	}
}

// streams checks what a client was given.
func (k *checker) streams(t *talk, c *Client) {
	last := int64(0)
	for _, s := range c.Streams {
		if s.After != last {
			k.bad("%s: %s has %d messages and asks for those after %d", t.id, c.Name, last, s.After)
			last = s.After
		}
		for _, m := range s.Messages {
			if m.Seq != last+1 {
				k.bad("%s: %s was given %d where %d is due", t.id, c.Name, m.Seq, last+1)
			}
			last = m.Seq
			if m.Seq < 1 || m.Seq > int64(len(t.history)) || m != t.history[m.Seq-1] {
				k.bad("%s: %s was given %s as %d, which the history has not", t.id, c.Name, m.ID, m.Seq)
			}
		}
	}
	if last != int64(len(t.history)) {
		k.bad("%s: %s was given %d messages of %d", t.id, c.Name, last, len(t.history))
	}
}
