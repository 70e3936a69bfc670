package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/chat"
)

// Known is what a store remembers of ids.
type Known = known

const (
	MaxKnown = maxKnown
	MaxIDs   = maxIDs
)

// NewKnown knows nothing yet.
func NewKnown() *Known { return newKnown() }

// Lacks is lacks.
func (k *Known) Lacks(of chat.ID, drafts []chat.Draft) (int64, bool) { return k.lacks(of, drafts) }

// Note is note.
func (k *Known) Note(of chat.ID, before, last int64, added []chat.Message) {
	k.note(of, before, last, added)
}

// Len is how many conversations are known.
func (k *Known) Len() int { return len(k.young) + len(k.old) }

// Sure tells whether an append of an id to a conversation would look for it.
func (s *Store) Sure(of chat.ID, id string) bool {
	_, sure := s.known.lacks(of, []chat.Draft{{ID: id}})
	return sure
}

// Partition makes the partitions as at a time.
func (s *Store) Partition(ctx context.Context, now time.Time) error { return s.partition(ctx, now) }

// Setting is what the server has for a connection of the store.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// Conns is how many connections the store may have.
func (s *Store) Conns() int32 { return s.pool.Config().MaxConns }

// Waiting is how many appends wait in the lanes.
func (s *Store) Waiting() (n int) {
	for _, lane := range s.lanes {
		n += len(lane)
	}
	return n
}

// Committed is how the answer to a COMMIT is read.
func Committed(answer string) error { return committed(pgconn.NewCommandTag(answer)) }

// Again tells whether each append of a group that failed is tried alone.
func Again(err error) bool { return again(err) }

// Number has a statement's arguments as PostgreSQL names them.
func Number(query string) string { return number(query) }

// Hot are statements that must read no more than they need of millions of rows.
func Hot() map[string]string {
	return map[string]string{
		"conversation by id":        selectConversation + `WHERE id = $1`,
		"current conversation":      selectConversation + currentOf,
		"newest numbers":            selectStands,
		"places of a group":         movePlaces,
		"free places of a group":    moveFreePlaces,
		"where conversations are":   updatePlaces,
		"messages that are there":   selectWritten,
		"messages before":           messagesBefore,
		"messages after":            messagesAfter,
		"message by id":             messageByID,
		"turns to lease":            selectReady,
		"whether a turn waits":      selectWaits,
		"leases":                    updateLeases,
		"the next turn":             updateNext,
		"the ends of turns":         deleteTurns,
		"turns that are to end":     selectEnds,
		"a turn's time":             updateReady,
		"who is there":              upsertSeen,
		"who may be away":           selectLapses,
		"who is away":               selectLapsed,
		"turns that were given up":  selectDead + `d.id > $1 AND ($2 = '' OR c.bot = $2) ORDER BY d.id LIMIT $3`,
		"a dead turn":               selectDead + `d.id = $1`,
		"conversations to be moved": selectConversation + `WHERE issuer = $1 AND subject = $2`,
	}
}
