package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

// group are appends of one commit.
type group struct {
	all    []*addition
	places map[chat.ID]*place
}

func newGroup(all []*addition) *group { return &group{all, make(map[chat.ID]*place, len(all))} }

// read locks the conversations and then looks which drafts they have: that must see what
// those before us have committed.
func (g *group) read(lock string) func(*pgx.Batch) {
	var ids, of, wanted []string
	for _, a := range g.all {
		if g.places[a.id] == nil {
			g.places[a.id] = &place{}
			ids = append(ids, string(a.id))
		}
		for _, d := range a.drafts {
			of, wanted = append(of, string(a.id)), append(wanted, d.ID)
		}
	}
	return func(b *pgx.Batch) {
		b.Queue(lock, ids).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var p place
				if err := p.scan(rows); err != nil {
					return err
				}
				*g.places[p.id] = p
			}
			return rows.Err()
		})
		queueWritten(b, of, wanted, func(in chat.ID, m chat.Message) {
			p := g.places[in]
			p.there = append(p.there, m)
		})
	}
}

// queueWritten has note called for those of the wanted ids that conversations have.
func queueWritten(b *pgx.Batch, of, wanted []string, note func(chat.ID, chat.Message)) {
	if len(wanted) == 0 {
		return
	}
	b.Queue(selectWritten, of, wanted).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var in chat.ID
			m, err := table.ScanMessage(table.Longer(rows, (*string)(&in)))
			if err != nil {
				return err
			}
			note(in, m)
		}
		return rows.Err()
	})
}

// decide gives each append its messages, one after the other. What one cannot have is its
// outcome, and no concern of the others.
func (g *group) decide(c table.Contexts) func(*pgx.Batch) error {
	return func(b *pgx.Batch) error {
		var rows added
		var moved struct{ key, last, turns []int64 }
		stood := map[*place]standing{}
		for _, a := range g.all {
			p := g.places[a.id]
			if p.key == 0 {
				a.outcome = errAlone
				continue
			}
			if !a.until.IsZero() {
				if a.outcome = explain(appending, p.open(c)); a.outcome != nil {
					continue
				}
			}
			if _, seen := stood[p]; !seen {
				stood[p] = p.standing
			}
			a.messages, a.turn = p.append(&rows, a.drafts, a.at, a.until)
		}
		rows.queue(b)
		for p, before := range stood {
			if p.standing != before {
				moved.key, moved.last, moved.turns = append(moved.key, p.key), append(moved.last, p.last), append(moved.turns, p.turns)
			}
		}
		if len(moved.key) > 0 {
			b.Queue(updatePlaces, moved.key, moved.last, moved.turns)
		}
		return nil
	}
}
