package table

import (
	"context"
	"encoding/json"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
)

const selectRevision = `SELECT n FROM entity_revision`

// Entities returns all entities, ordered by kind and id, and their revision, both as
// they are at one moment.
func (t *Tables) Entities(ctx context.Context) (all []gateway.Entity, revision int64, err error) {
	const what = "read entities"
	err = t.db.Snapshot(ctx, func(q Querier) error {
		if err := q.QueryRowContext(ctx, selectRevision).Scan(&revision); err != nil {
			return err
		}
		all, err = collect(ctx, t, q, what, scanEntity, `SELECT kind, id, COALESCE(name, ''), doc FROM entities ORDER BY kind, id`)
		return err
	})
	return all, revision, t.db.Explain(what, err)
}

func scanEntity(r Rows) (e gateway.Entity, err error) {
	var doc string
	err = r.Scan(&e.Kind, &e.ID, &e.Name, &doc)
	e.Doc = json.RawMessage(doc)
	return e, err
}

// EntityRevision is a number that grows with every change of entities.
func (t *Tables) EntityRevision(ctx context.Context) (revision int64, err error) {
	err = t.db.Reader().QueryRowContext(ctx, selectRevision).Scan(&revision)
	return revision, t.db.Explain("read entity revision", err)
}

// ChangeEntities removes the entities of the ids and then adds or replaces others, all
// or nothing, and returns the new revision. It is a conflict if their revision is not
// the one that was seen, and if two would have one name.
func (t *Tables) ChangeEntities(ctx context.Context, seen int64, remove []string, put []gateway.Entity) (revision int64, err error) {
	err = t.db.Change(ctx, "change entities", func(ctx context.Context, tx Tx) error {
		var now int64
		if err := tx.QueryRowContext(ctx, selectRevision).Scan(&now); err != nil {
			return err
		}
		if now != seen {
			return fault.New(fault.Conflict, "the gateway's configuration was changed meanwhile")
		}
		for _, id := range remove {
			if _, err := tx.ExecContext(ctx, `DELETE FROM entities WHERE id = ?`, id); err != nil {
				return err
			}
		}
		for i := range put {
			if err := t.putEntity(ctx, tx, &put[i]); err != nil {
				return err
			}
		}
		revision = now + 1
		_, err := tx.ExecContext(ctx, `UPDATE entity_revision SET n = ?`, revision)
		return err
	})
	return revision, err
}

func (t *Tables) putEntity(ctx context.Context, tx Tx, e *gateway.Entity) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO entities (id, kind, name, doc) VALUES (?, ?, NULLIF(?, ''), ?)
		ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, name = excluded.name, doc = excluded.doc`,
		e.ID, e.Kind, e.Name, string(e.Doc))
	if _, there := t.db.Taken(err); there {
		return fault.Newf(fault.Conflict, "there is another one of the name %q among the %s", e.Name, e.Kind)
	}
	return err
}
