package table

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

var errNoCredential = fault.New(fault.NotFound, "no such credential")

const (
	credentialFields = `c.n, c.id, o.id, c.key, c.algorithm, c.secret, c.public_key, c.tags, c.created`
	fromCredentials  = ` FROM credentials AS c JOIN consumers AS o ON o.n = c.consumer AND o.id IS NOT NULL`

	selectCredential = `SELECT ` + credentialFields + fromCredentials

	selectByName = selectCredential + ` WHERE c.id = ?1 OR c.n = ?2 OR c.key = ?3 ORDER BY COALESCE(c.id = ?1, FALSE) DESC, c.n = ?2 DESC LIMIT 1`
	selectPage   = selectCredential + ` WHERE c.n > ? ORDER BY c.n LIMIT ?`
	selectPageOf = selectCredential + ` WHERE c.consumer = (SELECT n FROM consumers WHERE id = ?) AND c.n > ? ORDER BY c.n LIMIT ?`

	selectByKey = `SELECT ` + credentialFields +
		`, o.n, o.id, o.username, o.custom_id, o.groups, o.tags, o.created, o.ends` + fromCredentials + ` WHERE c.key = ?`

	insertCredential = `INSERT INTO credentials (n, consumer, key, algorithm, secret, public_key, tags, created, id) VALUES `
)

// credentialValues are the arguments of a new row.
func (t *Tables) credentialValues() string {
	return `(` + t.db.Number("credentials", "n") + `, ?, ?, ?, ?, ?, ?, ?, ?)`
}

// credentialRow is a credential with its number.
type credentialRow struct {
	n int64
	consumer.Record
}

func (c *credentialRow) into() []any {
	return []any{
		&c.n, (*givenID)(&c.ID), &c.ConsumerID, &c.Key, (*algorithm)(&c.Algorithm), &c.Sealed,
		(*optional)(&c.PublicKey), (*tags)(&c.Tags), (*second)(&c.Created),
	}
}

// credentialColumns are all of a new row. Its number is NULL, so that it gets the next
// one, unless the id follows from the number of a row that was there before.
func (t *Tables) credentialColumns(owner int64, r *consumer.Record) []any {
	var n any
	id := givenID(r.ID)
	if number, ours := t.ids.Row(r.ID); ours {
		n, id = number, ""
	}
	return []any{
		n, owner, r.Key, algorithm(r.Algorithm), r.Sealed, optional(r.PublicKey),
		tags(r.Tags), second(r.Created), id,
	}
}

func (t *Tables) scanCredential(r Rows) (c credentialRow, err error) {
	err = r.Scan(c.into()...)
	t.identify(&c)
	return c, err
}

// readIDs reads the key of the ids that follow from numbers.
func readIDs(ctx context.Context, q Querier) (*consumer.IDs, error) {
	var key []byte
	if err := q.QueryRowContext(ctx, `SELECT key FROM row_ids`).Scan(&key); err != nil {
		return nil, fmt.Errorf("read key of row ids: %w", err)
	}
	return consumer.NewIDs(key)
}

// identify gives c the id that follows from its number, unless it was given one.
func (t *Tables) identify(c *credentialRow) {
	if c.ID == "" {
		c.ID = t.ids.Of(c.n)
	}
}

// FindCredential returns the credential of a key with its consumer, or a fault of kind
// NotFound.
func (t *Tables) FindCredential(ctx context.Context, key string) (consumer.Record, consumer.Info, error) {
	var c credentialRow
	var owner consumerRow
	err := t.db.Reader().QueryRowContext(ctx, selectByKey, key).Scan(append(c.into(), owner.into()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return consumer.Record{}, consumer.Info{}, errNoCredential
	}
	t.identify(&c)
	return c.Record, owner.Info, t.db.Explain("find credential", err)
}

// Credential returns the credential of an id or else of a key, or a fault of kind NotFound.
func (t *Tables) Credential(ctx context.Context, name string) (consumer.Record, error) {
	c, err := t.credential(ctx, t.db.Reader(), name)
	return c.Record, t.db.Explain("read credential", err)
}

func (t *Tables) credential(ctx context.Context, q Querier, name string) (credentialRow, error) {
	number, _ := t.ids.Row(name)
	c, err := t.scanCredential(q.QueryRowContext(ctx, selectByName, givenID(name), number, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoCredential
	}
	return c, err
}

// Credentials lists the credentials of the consumer of an id, or all, in the order of
// their making.
func (t *Tables) Credentials(ctx context.Context, consumerID string, p consumer.Page) ([]consumer.Record, string, error) {
	after, err := t.offset(p)
	if err != nil {
		return nil, "", err
	}
	query, args := selectPage, []any{after, p.Size + 1}
	if consumerID != "" {
		query, args = selectPageOf, append([]any{consumerID}, args...)
	}
	found, err := collect(ctx, t, t.db.Reader(), "read credentials", t.scanCredential, query, args...)
	if err != nil {
		return nil, "", err
	}
	found, next := page(t, found, p, func(c credentialRow) int64 { return c.n })
	var all []consumer.Record
	for i := range found {
		all = append(all, found[i].Record)
	}
	return all, next, nil
}

// AddCredential adds a credential and returns it with its id. If the key or the id is
// taken, that is a conflict; what a removed consumer had is not taken.
func (t *Tables) AddCredential(ctx context.Context, r consumer.Record) (consumer.Record, error) {
	added := r
	err := t.db.Change(ctx, "add credential", func(ctx context.Context, tx Tx) error {
		owner, err := ownerOf(ctx, tx, r.ConsumerID)
		if err != nil {
			return err
		}
		if err := freeKey(ctx, tx, r.Key); err != nil {
			return err
		}
		var n int64
		err = tx.QueryRowContext(ctx, insertCredential+t.credentialValues()+` RETURNING n`, t.credentialColumns(owner, &r)...).Scan(&n)
		if err != nil {
			return t.clash(err, "credential")
		}
		if r.ID == "" {
			added.ID = t.ids.Of(n)
		}
		return logChange(ctx, tx, consumer.Change{Kind: consumer.OfCredential, Key: r.Key, Added: true})
	})
	return added, err
}

// ownerOf is the number of a consumer.
func ownerOf(ctx context.Context, tx Tx, id string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT n FROM consumers WHERE id = ?`, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoConsumer
	}
	return n, err
}

// freeKey deletes the credential of a key if its consumer was removed.
func freeKey(ctx context.Context, tx Tx, key string) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM credentials WHERE key = ? AND consumer IN (SELECT n FROM consumers WHERE id IS NULL)`, key)
	return err
}

// EditCredential changes the credential of an id or else of a key, as [Tables.EditUser]
// does a user, and returns the key that it had.
func (t *Tables) EditCredential(ctx context.Context, name string, edit func(*consumer.Record) error) (key string, err error) {
	err = t.db.Change(ctx, "edit credential", func(ctx context.Context, tx Tx) error {
		c, err := t.credential(ctx, tx, name)
		if err != nil {
			return err
		}
		key = c.Key
		if err := edit(&c.Record); err != nil {
			return err
		}
		owner, err := ownerOf(ctx, tx, c.ConsumerID)
		if err != nil {
			return err
		}
		if c.Key != key {
			if err := freeKey(ctx, tx, c.Key); err != nil {
				return err
			}
		}
		if err := t.updateCredential(ctx, tx, c.n, owner, &c.Record); err != nil {
			return err
		}
		return logKeys(ctx, tx, key, c.Key)
	})
	return key, err
}

// updateCredential changes all but the id.
func (t *Tables) updateCredential(ctx context.Context, tx Tx, n, owner int64, r *consumer.Record) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE credentials SET consumer = ?, key = ?, algorithm = ?, secret = ?, public_key = ?, tags = ?, created = ?
		WHERE n = ?`,
		owner, r.Key, algorithm(r.Algorithm), r.Sealed, optional(r.PublicKey), tags(r.Tags), second(r.Created), n)
	return t.clash(err, "credential")
}

// logKeys logs a change of the credential of a key, and of the other if it is another.
func logKeys(ctx context.Context, tx Tx, key, other string) error {
	err := logChange(ctx, tx, consumer.Change{Kind: consumer.OfCredential, Key: key})
	if err == nil && other != key {
		err = logChange(ctx, tx, consumer.Change{Kind: consumer.OfCredential, Key: other})
	}
	return err
}

// RemoveCredential deletes the credential of an id or else of a key, and returns the
// key that it had.
func (t *Tables) RemoveCredential(ctx context.Context, name string) (key string, err error) {
	err = t.db.Change(ctx, "remove credential", func(ctx context.Context, tx Tx) error {
		c, err := t.credential(ctx, tx, name)
		if err != nil {
			return err
		}
		key = c.Key
		if _, err := tx.ExecContext(ctx, `DELETE FROM credentials WHERE n = ?`, c.n); err != nil {
			return err
		}
		return logKeys(ctx, tx, key, key)
	})
	return key, err
}

// algorithm is one as a column: NULL for HS256, which most have.
type algorithm jose.Algorithm

func (a algorithm) Value() (driver.Value, error) {
	if jose.Algorithm(a) == jose.HS256 {
		return nil, nil
	}
	return string(a), nil
}

func (a *algorithm) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*a = algorithm(jose.HS256)
	case string:
		*a = algorithm(v)
	default:
		return fmt.Errorf("algorithm column holds %T", v)
	}
	return nil
}

// givenID is a UUID as a column: NULL for what is none.
type givenID string

func (g givenID) Value() (driver.Value, error) {
	u, err := uuid.Parse(string(g))
	if err != nil {
		return nil, nil //nolint:nilerr // a name that is no UUID is a key
	}
	return u[:], nil
}

func (g *givenID) Scan(v any) error {
	if v == nil {
		*g = ""
		return nil
	}
	b, _ := v.([]byte)
	u, err := uuid.FromBytes(b)
	if err != nil {
		return fmt.Errorf("id column: %w", err)
	}
	*g = givenID(u.String())
	return nil
}
