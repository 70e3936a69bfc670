package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

const (
	lookPage = 500 // conversations of one look for old messages
	cutBatch = 200 // messages that one commit deletes, so that no append waits for long
)

const (
	// selectOld are conversations with the numbers behind which their messages begin, and up
	// to which they go: to the one before the first that is young enough.
	selectOld = `
		SELECT c.key, c.id, COALESCE((SELECT MIN(seq) FROM messages WHERE conversation = c.key), 1) - 1, COALESCE(
			(SELECT seq - 1 FROM messages WHERE conversation = c.key AND at >= ?2 ORDER BY seq LIMIT 1),
			(SELECT MAX(seq) FROM messages WHERE conversation = c.key),
			0)
		FROM conversations AS c WHERE c.key > ?1 ORDER BY c.key LIMIT ?3`
	selectCutTurns = `SELECT seq FROM turns WHERE conversation = ? AND seq BETWEEN 1 AND ? AND hook_at = 0`
	deleteCutDead  = `DELETE FROM dead_turns WHERE conversation = ? AND seq BETWEEN 1 AND ? AND hook_at = 0`
	deleteCut      = `DELETE FROM messages WHERE conversation = ? AND seq <= ?`
	updateCut      = `
		UPDATE conversations SET last_seq = ?2
		WHERE key = ?1 AND last_seq < ?2 AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)`
)

// cut says which messages of a conversation go: those behind from, up to to.
type cut struct {
	key      int64
	id       chat.ID
	from, to int64
}

// DeleteMessages deletes the messages that are older than a time, and their turns with
// them. The conversations stay, and their numbers go on.
func (s *Store) DeleteMessages(ctx context.Context, before time.Time) error {
	for last := int64(0); ; {
		page, err := collect(ctx, s.readers, "read old messages", scanCut, selectOld, last, before.UnixMilli(), lookPage)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1].key
		var batch []cut
		room := int64(cutBatch)
		for _, c := range page {
			for c.from < c.to {
				part := c
				part.to = min(c.to, c.from+room)
				batch, c.from = append(batch, part), part.to
				if room -= part.to - part.from; room > 0 {
					continue
				}
				if err := s.deleteCuts(ctx, batch, before); err != nil {
					return err
				}
				batch, room = nil, cutBatch
			}
		}
		if err := s.deleteCuts(ctx, batch, before); err != nil {
			return err
		}
	}
}

func scanCut(r rows) (c cut, err error) {
	err = r.Scan(&c.key, (*string)(&c.id), &c.from, &c.to)
	return c, err
}

// deleteCuts commits cuts. A turn that comes next is ready from a time on.
func (s *Store) deleteCuts(ctx context.Context, cuts []cut, ready time.Time) error {
	if len(cuts) == 0 {
		return nil
	}
	return s.write(ctx, "delete old messages", func(ctx context.Context, tx *sql.Tx) error {
		for _, c := range cuts {
			if err := s.deleteCut(ctx, tx, c, ready); err != nil {
				s.chat.forget() // places whose turns have not ended
				return err
			}
		}
		return nil
	})
}

func (s *Store) deleteCut(ctx context.Context, tx *sql.Tx, c cut, ready time.Time) error {
	turns, err := collect(ctx, tx, "read turns", func(r rows) (seq int64, err error) {
		err = r.Scan(&seq)
		return seq, err
	}, selectCutTurns, c.key, c.to)
	if err != nil {
		return err
	}
	w := s.chat.in(ctx, tx)
	for _, seq := range turns {
		p, err := w.find(ctx, c.id)
		if err == nil {
			_, err = w.finish(ctx, p, bot.Turn{Seq: seq}, ready)
		}
		if err != nil {
			return err
		}
	}
	for _, query := range []string{deleteCutDead, deleteCut, updateCut} {
		if _, err := tx.ExecContext(ctx, query, c.key, c.to); err != nil {
			return err
		}
	}
	return nil
}
