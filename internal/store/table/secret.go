package table

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// AddSecret adds the next version of a name, which seal gives its value once the version
// is known; seal must not call the store. It is a conflict if the name has another type.
func (t *Tables) AddSecret(ctx context.Context, n secret.Sealed, seal func(version int64) ([]byte, error)) (version int64, err error) {
	err = t.db.Change(ctx, "add secret", func(ctx context.Context, tx Tx) error {
		var key int64
		err := tx.QueryRowContext(ctx, `
			INSERT INTO secrets (organization, name, type, last) VALUES (?, ?, ?, 1)
			ON CONFLICT (organization, name) DO UPDATE SET last = secrets.last + 1 WHERE secrets.type = excluded.type
			RETURNING key, last`, n.Organization, n.Name, n.Type).Scan(&key, &version)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.Newf(fault.Conflict, "%s is there with another type: delete it first, or take another name", n.Name)
		}
		if err != nil {
			return err
		}
		value, err := seal(version)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO secret_versions (secret, version, sealed, created) VALUES (?, ?, ?, ?)`,
			key, version, value, Stamp(n.Created))
		return err
	})
	return version, err
}

// Secret returns a version of a name, 0 for the latest, or a fault of kind NotFound.
func (t *Tables) Secret(ctx context.Context, organization, name string, version int64) (n secret.Sealed, err error) {
	n.Organization, n.Name = organization, name
	err = t.db.Reader().QueryRowContext(ctx, `
		SELECT type, version, sealed, created FROM secrets JOIN secret_versions ON secret = key
		WHERE organization = ?1 AND name = ?2 AND (version = ?3 OR ?3 = 0)
		ORDER BY version DESC LIMIT 1`, organization, name, version).Scan(&n.Type, &n.Version, &n.Value, (*Stamp)(&n.Created))
	if errors.Is(err, sql.ErrNoRows) {
		return secret.Sealed{}, noSecret(name)
	}
	return n, t.db.Explain("read secret", err)
}

// Secrets returns all versions without their values, ordered by name, the latest first.
func (t *Tables) Secrets(ctx context.Context, organization string) ([]secret.Sealed, error) {
	scan := func(r Rows) (n secret.Sealed, err error) {
		n.Organization = organization
		err = r.Scan(&n.Name, &n.Type, &n.Version, (*Stamp)(&n.Created))
		return n, err
	}
	return collect(ctx, t, t.db.Reader(), "read secrets", scan, `
		SELECT name, type, version, created FROM secrets JOIN secret_versions ON secret = key
		WHERE organization = ? ORDER BY name, version DESC`, organization)
}

// DeleteSecret deletes a version of a name, 0 for all, or returns a fault of kind
// NotFound. With its last version a name is gone, and will count from 1 again.
func (t *Tables) DeleteSecret(ctx context.Context, organization, name string, version int64) error {
	return t.db.Change(ctx, "delete secret", func(ctx context.Context, tx Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			DELETE FROM secret_versions WHERE (version = ?3 OR ?3 = 0)
				AND secret = (SELECT key FROM secrets WHERE organization = ?1 AND name = ?2)`, organization, name, version))
		if err == nil && n == 0 {
			err = noSecret(name)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			DELETE FROM secrets WHERE organization = ? AND name = ?
				AND NOT EXISTS (SELECT 1 FROM secret_versions WHERE secret = key)`, organization, name)
		return err
	})
}

// HasSecrets tells whether there is any, of whichever organization.
func (t *Tables) HasSecrets(ctx context.Context) (there bool, err error) {
	err = t.db.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM secrets)`).Scan(&there)
	return there, t.db.Explain("read secrets", err)
}

func noSecret(name string) error {
	return fault.Newf(fault.NotFound, "there is no such secret: %s", name)
}
