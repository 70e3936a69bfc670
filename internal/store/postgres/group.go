package postgres

import (
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

// group are additions of one commit.
type group struct {
	all    []*addition
	of     map[chat.ID]*place
	places []*place // by their ids: in that order they are locked

	unsure struct{ conversation, id []string } // drafts that must be looked for
	ends   struct {
		conversation []string
		seq, hookAt  []int64
		by           []*addition
	}
}

// newGroup takes what k knows for granted, and looks for the rest.
func newGroup(all []*addition, k *known) *group {
	g := &group{all: all, of: make(map[chat.ID]*place, len(all)), places: make([]*place, 0, len(all))}
	places := make([]place, 0, len(all)) // which has room for all: they stay where they are
	for _, a := range all {
		a.result = result{}
		p := g.of[a.id]
		if p == nil {
			places = append(places, place{id: a.id, known: unknown})
			p = &places[len(places)-1]
			g.of[a.id], g.places = p, append(g.places, p)
		}
		p.expect(a)
		if len(a.drafts) > 0 && !p.trust(k.lacks(a.id, a.drafts)) {
			for _, d := range a.drafts {
				g.unsure.conversation, g.unsure.id = append(g.unsure.conversation, string(a.id)), append(g.unsure.id, d.ID)
			}
		}
		if e := a.ends; e != nil {
			g.ends.conversation, g.ends.by = append(g.ends.conversation, string(a.id)), append(g.ends.by, a)
			g.ends.seq, g.ends.hookAt = append(g.ends.seq, e.turn.Seq), append(g.ends.hookAt, table.HookAt(e.turn))
		}
	}
	slices.SortFunc(g.places, func(a, b *place) int { return strings.Compare(string(a.id), string(b.id)) })
	return g
}

// read moves the conversations, which locks them, as if each draft were new and each turn
// there, and then looks whether they are: that must see what those before us have committed.
func (g *group) read(move string) func(*pgx.Batch) {
	n := len(g.places)
	all, messages, turns := make([]string, n), make([]int64, n), make([]int64, n)
	for i, p := range g.places {
		all[i], messages[i], turns[i] = string(p.id), p.expected.last, p.expected.turns
	}
	return func(b *pgx.Batch) {
		b.Queue(move, all, messages, turns).Query(g.scanPlaces)
		if len(g.unsure.id) > 0 {
			b.Queue(selectWritten, g.unsure.conversation, g.unsure.id).Query(g.scanWritten)
		}
		if len(g.ends.by) > 0 {
			b.Queue(selectEnds, g.ends.conversation, g.ends.seq, g.ends.hookAt).Query(g.scanEnds)
		}
	}
}

func (g *group) scanPlaces(rows pgx.Rows) error {
	var n int
	var at place
	into := []any{
		&n, &at.key, (*string)(&at.bot), &at.last, &at.turns, &at.user.Issuer, &at.user.Subject, &at.column, &at.owned,
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		g.places[n-1].found(&at)
	}
	return rows.Err()
}

func (g *group) scanWritten(rows pgx.Rows) error {
	for rows.Next() {
		var in chat.ID
		m, err := table.ScanMessage(table.Longer(rows, (*string)(&in)))
		if err != nil {
			return err
		}
		p := g.of[in]
		p.there = append(p.there, m)
	}
	return rows.Err()
}

func (g *group) scanEnds(rows pgx.Rows) error {
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err
		}
		g.ends.by[n-1].there = true
	}
	return rows.Err()
}

// decide gives each addition its messages, one after the other. What one cannot have is its
// outcome, and no concern of the others. If there is nothing to write, nothing is queued.
func (g *group) decide(c table.Contexts) func(*pgx.Batch) error {
	return func(b *pgx.Batch) error {
		var w writes
		var room standing
		for _, p := range g.places {
			room.last, room.turns = room.last+p.expected.last, room.turns+max(0, p.expected.turns)
		}
		w.grow(int(room.last), int(room.turns))
		for _, a := range g.all {
			p := g.of[a.id]
			if p.key == 0 || p.stale() {
				a.outcome = errAlone
				continue
			}
			a.outcome = explain(a.what, a.apply(b, &w, p, c))
		}
		if w.queue(b); b.Len() == 0 {
			return nil
		}
		var moved struct{ key, last, turns []int64 }
		for _, p := range g.places {
			if p.standing != p.moved {
				moved.key, moved.last, moved.turns = append(moved.key, p.key), append(moved.last, p.last), append(moved.turns, p.turns)
			}
		}
		if len(moved.key) > 0 {
			b.Queue(updatePlaces, moved.key, moved.last, moved.turns)
		}
		return nil
	}
}

// note remembers what the group has committed.
func (g *group) note(k *known) {
	for _, p := range g.places {
		if p.key != 0 {
			k.note(p.id, p.before, p.last, p.there[len(p.there)-int(p.last-p.before):])
		}
	}
}
