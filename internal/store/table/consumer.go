package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

var errNoConsumer = fault.New(fault.NotFound, "no such consumer")

const selectConsumer = `SELECT n, id, username, custom_id, groups, tags, created, ends FROM consumers`

// consumerRow is a consumer with its number.
type consumerRow struct {
	n int64
	consumer.Info
}

func (c *consumerRow) into() []any {
	return []any{
		&c.n, &c.ID, (*optional)(&c.Username), (*optional)(&c.CustomID), (*List[consumer.Group])(&c.Groups),
		(*tags)(&c.Tags), (*second)(&c.Created), (*second)(&c.Ends),
	}
}

func scanConsumer(r Rows) (c consumerRow, err error) {
	err = r.Scan(c.into()...)
	return c, err
}

// consumerColumns are all but the number, the id last.
func consumerColumns(i *consumer.Info) []any {
	return []any{
		optional(i.Username), optional(i.CustomID), List[consumer.Group](i.Groups),
		tags(i.Tags), second(i.Created), second(i.Ends), i.ID,
	}
}

// Consumer returns the consumer of an id or else of a username, or a fault of kind
// NotFound.
func (t *Tables) Consumer(ctx context.Context, name string) (consumer.Info, error) {
	c, err := scanConsumer(t.db.Reader().QueryRowContext(ctx, selectConsumer+`
		WHERE id = ?1 OR username = ?1 ORDER BY id = ?1 DESC LIMIT 1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return consumer.Info{}, errNoConsumer
	}
	return c.Info, t.db.Explain("read consumer", err)
}

// Consumers lists consumers in the order of their making.
func (t *Tables) Consumers(ctx context.Context, p consumer.Page) ([]consumer.Info, string, error) {
	after, err := t.offset(p)
	if err != nil {
		return nil, "", err
	}
	found, err := collect(ctx, t, t.db.Reader(), "read consumers", scanConsumer, selectConsumer+`
		WHERE id IS NOT NULL AND n > ? ORDER BY n LIMIT ?`, after, p.Size+1)
	if err != nil {
		return nil, "", err
	}
	found, next := page(t, found, p, func(c consumerRow) int64 { return c.n })
	var all []consumer.Info
	for i := range found {
		all = append(all, found[i].Info)
	}
	return all, next, nil
}

// offset is the number after which a page begins.
func (t *Tables) offset(p consumer.Page) (int64, error) {
	if p.Offset == "" {
		return 0, nil
	}
	n, ok := t.ids.Row(p.Offset)
	if !ok {
		return 0, fault.BadField("offset", "must be one that the page before gave")
	}
	return n, nil
}

// page cuts what was read, one row too many, to the size of a page.
func page[T any](t *Tables, found []T, p consumer.Page, number func(T) int64) (all []T, next string) {
	if len(found) <= p.Size {
		return found, ""
	}
	return found[:p.Size], t.ids.Of(number(found[p.Size-1]))
}

// AddConsumer adds a consumer with its groups. What is taken is a conflict.
func (t *Tables) AddConsumer(ctx context.Context, i consumer.Info) error {
	return t.db.Change(ctx, "add consumer", func(ctx context.Context, tx Tx) error {
		if err := t.insertConsumer(ctx, tx, &i); err != nil {
			return err
		}
		return logChange(ctx, tx, consumer.Change{Kind: consumer.OfConsumer, Key: i.ID, Added: true})
	})
}

func (t *Tables) insertConsumer(ctx context.Context, tx Tx, i *consumer.Info) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO consumers (username, custom_id, groups, tags, created, ends, id)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, consumerColumns(i)...)
	return t.clash(err, "consumer")
}

// EditConsumer changes the consumer of an id, as [Tables.EditUser] does a user.
func (t *Tables) EditConsumer(ctx context.Context, id string, edit func(*consumer.Info) error) error {
	return t.db.Change(ctx, "edit consumer", func(ctx context.Context, tx Tx) error {
		c, err := scanConsumer(tx.QueryRowContext(ctx, selectConsumer+` WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return errNoConsumer
		}
		if err == nil {
			err = edit(&c.Info)
		}
		if err != nil {
			return err
		}
		c.ID = id
		_, err = tx.ExecContext(ctx, `
			UPDATE consumers SET username = ?, custom_id = ?, groups = ?, tags = ?, created = ?, ends = ?
			WHERE id = ?`, consumerColumns(&c.Info)...)
		if err != nil {
			return t.clash(err, "consumer")
		}
		return logChange(ctx, tx, consumer.Change{Kind: consumer.OfConsumer, Key: id})
	})
}

// RemoveConsumer removes the consumer of an id. Its credentials are none from now on;
// [Tables.Purge] deletes them.
func (t *Tables) RemoveConsumer(ctx context.Context, id string) error {
	return t.db.Change(ctx, "remove consumer", func(ctx context.Context, tx Tx) error {
		return removeConsumer(ctx, tx, id)
	})
}

func removeConsumer(ctx context.Context, tx Tx, id string) error {
	n, err := affected(tx.ExecContext(ctx, `
		UPDATE consumers SET id = NULL, username = NULL, custom_id = NULL, groups = '[]', tags = NULL, ends = NULL
		WHERE id = ?`, id))
	if err != nil {
		return err
	}
	if n == 0 {
		return errNoConsumer
	}
	return logChange(ctx, tx, consumer.Change{Kind: consumer.OfConsumer, Key: id})
}

// Ends lists when consumers end, in order of time.
func (t *Tables) Ends(ctx context.Context) ([]time.Time, error) {
	scan := func(r Rows) (t time.Time, err error) { err = r.Scan((*second)(&t)); return t, err }
	return collect(ctx, t, t.db.Reader(), "read ends of consumers", scan,
		`SELECT ends FROM consumers WHERE ends IS NOT NULL ORDER BY ends`)
}

// RemoveEnded removes the consumers that ended before a time, and returns their ids.
func (t *Tables) RemoveEnded(ctx context.Context, before time.Time) ([]string, error) {
	const what, ended = "remove ended consumers", `SELECT id FROM consumers WHERE ends < ?`
	scan := func(r Rows) (id string, err error) { err = r.Scan(&id); return id, err }
	ids, err := collect(ctx, t, t.db.Reader(), what, scan, ended, second(before))
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	err = t.db.Change(ctx, what, func(ctx context.Context, tx Tx) error {
		if ids, err = collect(ctx, t, tx, what, scan, ended, second(before)); err != nil {
			return err
		}
		for _, id := range ids {
			if err := removeConsumer(ctx, tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, err
}

const (
	firstRemoved = `SELECT n FROM consumers WHERE id IS NULL LIMIT 1`
	// deleteRemoved goes up to a number, rather than by a list: that is a range of one index.
	deleteRemoved = `
		DELETE FROM credentials WHERE consumer = (` + firstRemoved + `) AND n <= COALESCE(
			(SELECT n FROM credentials WHERE consumer = (` + firstRemoved + `) ORDER BY n LIMIT 1 OFFSET ? - 1), 9223372036854775807)`
)

// Purge deletes at most that many credentials of removed consumers, and removed
// consumers that have none. done is false if there may be more.
func (t *Tables) Purge(ctx context.Context, most int) (done bool, err error) {
	const what = "delete credentials of removed consumers"
	scan := func(r Rows) (n int64, err error) { err = r.Scan(&n); return n, err }
	found, err := collect(ctx, t, t.db.Reader(), what, scan, firstRemoved)
	if err != nil || len(found) == 0 {
		return true, err
	}
	err = t.db.Write(ctx, what, func(ctx context.Context, tx Tx) error {
		n, err := affected(tx.ExecContext(ctx, deleteRemoved, most))
		if err != nil || n > 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM consumers WHERE n = (`+firstRemoved+`)`)
		return err
	})
	return false, err
}
