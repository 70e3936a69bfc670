package table

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/carnetproject/carnet/internal/consumer"
)

// importGroup is how many credentials one statement adds.
const importGroup = 64

// ImportProgress returns what the last [Tables.Import] of that name has saved, "" if
// there was none.
func (t *Tables) ImportProgress(ctx context.Context, name string) (progress string, err error) {
	err = t.db.Reader().QueryRowContext(ctx, `SELECT progress FROM imports WHERE name = ?`, name).Scan(&progress)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return progress, t.db.Explain("read progress of import", err)
}

// EndImport forgets what was saved under a name.
func (t *Tables) EndImport(ctx context.Context, name string) error {
	return t.db.Write(ctx, "end import", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM imports WHERE name = ?`, name)
		return err
	})
}

// Import adds a part of an import in one transaction, and saves its progress with it.
func (t *Tables) Import(ctx context.Context, name string, b consumer.Batch) error {
	return t.db.Change(ctx, "import", func(ctx context.Context, tx Tx) error {
		if err := t.importCredentials(ctx, tx, &b); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO imports (name, progress) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET progress = excluded.progress`, name, b.Progress())
		return err
	})
}

func (t *Tables) importCredentials(ctx context.Context, tx Tx, b *consumer.Batch) error {
	if len(b.Records) == 0 {
		return nil
	}
	owners, err := ownersOf(ctx, tx, b.Records)
	if err != nil {
		return err
	}
	var newest int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(n), 0) FROM credentials`).Scan(&newest); err != nil {
		return err
	}
	whole, err := tx.PrepareContext(ctx, t.insertMany(importGroup))
	if err != nil {
		return err
	}
	defer whole.Close() //nolint:errcheck // it ends with the transaction
	for rest := b.Records; len(rest) > 0; {
		group := rest[:min(importGroup, len(rest))]
		rest = rest[len(group):]
		args := make([]any, 0, len(group)*9)
		for i := range group {
			args = append(args, t.credentialColumns(owners[group[i].ConsumerID], &group[i])...)
		}
		var done sql.Result
		if len(group) == importGroup {
			done, err = whole.ExecContext(ctx, args...)
		} else {
			done, err = tx.ExecContext(ctx, t.insertMany(len(group)), args...)
		}
		if err != nil {
			return t.clash(err, "credential")
		}
		if n, err := done.RowsAffected(); err != nil || n < int64(len(group)) {
			if err := errors.Join(err, t.settle(ctx, tx, group, newest, owners, b.Clash)); err != nil {
				return err
			}
		}
	}
	return logChange(ctx, tx, consumer.Change{Kind: consumer.OfCredential, Added: true})
}

// ownersOf are the numbers of the consumers that credentials name.
func ownersOf(ctx context.Context, tx Tx, all []consumer.Record) (map[string]int64, error) {
	owners := map[string]int64{}
	for i := range all {
		id := all[i].ConsumerID
		if _, known := owners[id]; known {
			continue
		}
		n, err := ownerOf(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		owners[id] = n
	}
	return owners, nil
}

// insertMany adds that many credentials but those whose key is there.
func (t *Tables) insertMany(n int) string {
	values := t.credentialValues()
	return insertCredential + strings.Repeat(values+`, `, n-1) + values + ` ON CONFLICT (key) DO NOTHING`
}

// settle decides about those of a group whose key was there before, that is whose row is
// not newer than newest.
func (t *Tables) settle(
	ctx context.Context, tx Tx, group []consumer.Record, newest int64, owners map[string]int64,
	clash func(have, want *consumer.Record) (replace bool),
) error {
	for i := range group {
		want := &group[i]
		var n int64
		var have credentialRow
		var owner sql.NullString
		err := tx.QueryRowContext(ctx, `
			SELECT c.n, o.id, c.algorithm, c.secret, c.public_key FROM credentials AS c
			JOIN consumers AS o ON o.n = c.consumer WHERE c.key = ? AND c.n <= ?`, want.Key, newest).
			Scan(&n, &owner, (*algorithm)(&have.Algorithm), &have.Sealed, (*optional)(&have.PublicKey))
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		have.Key, have.ConsumerID = want.Key, owner.String
		if owner.Valid && !clash(&have.Record, want) {
			continue
		}
		if err := t.updateCredential(ctx, tx, n, owners[want.ConsumerID], want); err != nil {
			return err
		}
		if err := logKeys(ctx, tx, want.Key, want.Key); err != nil {
			return err
		}
	}
	return nil
}
