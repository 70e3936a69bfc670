package soak

import (
	"fmt"
	"maps"
	"slices"
)

// calls checks how the bot was called. That no later turn begins before an earlier one
// was answered follows from looking at neighbours, since each is looked at.
func (k *checker) calls(t *talk) {
	first, answered := map[int64]int64{}, map[int64]int64{}
	newest := int64(-1)
	for _, c := range t.calls {
		if at := t.place[c.ID]; c.Seq != 0 && (c.Seq != at || t.history[at-1].From != "user" || t.history[at-1].Body != c.Body) {
			k.bad("%s: the bot was called for %s at %d, which the history has not", t.id, c.ID, c.Seq)
			continue
		}
		if _, again := first[c.Seq]; !again {
			first[c.Seq] = c.Began
			if c.Seq < newest {
				k.bad("%s: the bot was called for %d after it was for %d", t.id, c.Seq, newest)
			}
			newest = max(newest, c.Seq)
		}
		if before := answered[c.Seq]; c.Answered > 0 && (before == 0 || c.Answered < before) {
			answered[c.Seq] = c.Answered
		}
	}
	turns := []int64{0}
	for _, m := range t.history {
		if m.From == "user" {
			turns = append(turns, m.Seq)
		}
	}
	for i, seq := range turns {
		began, called := first[seq]
		switch {
		case !called:
			k.bad("%s: the bot was never called for %d", t.id, seq)
		case answered[seq] == 0:
			k.bad("%s: the bot has never answered the call for %d", t.id, seq)
		case i > 0 && (answered[turns[i-1]] == 0 || answered[turns[i-1]] > began):
			k.bad("%s: the bot was called for %d before it had answered %d", t.id, seq, turns[i-1])
		}
	}
}

// answers checks what the bot and the system have said.
func (k *checker) answers(t *talk) {
	var d debts
	for _, m := range t.history {
		if wrong := d.take(m); wrong != "" {
			k.bad("%s: %s at %d %s", t.id, m.ID, m.Seq, wrong)
		}
	}
	if wrong := d.left(); wrong != "" {
		k.bad("%s: %s", t.id, wrong)
	}
}

// debts are what the bot owes, while a history is read from its beginning.
type debts struct {
	welcomed bool
	queue    []wish          // whose turns have not ended, oldest first
	done     int             // replies to the first of them
	pushes   map[string]bool // texts that are to come
}

// take reads the next message and says what is wrong with it, "" if nothing is.
func (d *debts) take(m Message) string {
	w := wishOf(m.Body)
	next := len(d.queue) > 0 && w.Text == reply(d.queue[0].Text, d.done+1)
	if d.done > 0 && !(next && m.From == "bot") {
		d.end()
		return "stands inside an answer"
	}
	switch m.From {
	case "user":
		d.owe(w)
		return ""
	case "bot":
		return d.hear(w.Text, next)
	}
	if len(d.queue) == 0 || d.queue[0].Want != refuse {
		return "gives up a turn that has an answer"
	}
	d.end()
	return ""
}

// owe takes a user's message.
func (d *debts) owe(w wish) {
	d.queue = append(d.queue, w)
	for i := range w.pushes() {
		if d.pushes == nil {
			d.pushes = map[string]bool{}
		}
		d.pushes[reply(w.Text, i+1)] = true
	}
	d.skip()
}

// hear takes the bot's words; next: they go on with the answer to the first in the queue.
func (d *debts) hear(text string, next bool) string {
	switch {
	case text == welcome && !d.welcomed:
		d.welcomed = true
	case !d.welcomed:
		return "comes before the welcome"
	case d.pushes[text]:
		delete(d.pushes, text)
	case next:
		if d.done++; d.done == d.queue[0].replies() {
			d.end()
		}
	default:
		return "is not what the bot owes"
	}
	return ""
}

func (d *debts) end() {
	d.queue, d.done = d.queue[1:], 0
	d.skip()
}

// skip ends the turns that nobody hears of.
func (d *debts) skip() {
	for len(d.queue) > 0 && d.queue[0].replies() == 0 && d.queue[0].Want != refuse {
		d.queue = d.queue[1:]
	}
}

// left says what is owed at the end, "" if nothing is.
func (d *debts) left() string {
	switch {
	case !d.welcomed:
		return "there is no welcome"
	case len(d.queue) > 0:
		return fmt.Sprintf("%d messages have no whole answer, first %s (%s)", len(d.queue), d.queue[0].Text, d.queue[0].Want)
	case len(d.pushes) > 0:
		return fmt.Sprintf("%d pushes are missing, such as %q", len(d.pushes), slices.Sorted(maps.Keys(d.pushes))[0])
	}
	return ""
}
