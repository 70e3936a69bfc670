package sqlite

import (
	"context"
	"database/sql"
	"net/netip"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
)

// Apps returns all apps with their secrets, in the order of their making.
func (s *Store) Apps(ctx context.Context) ([]app.App, error) {
	const what = "read apps"
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one snapshot for both tables
	if err != nil {
		return nil, explain(what, err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return readApps(ctx, tx, what, "")
}

// readApps returns the app of an id, or all for an empty one.
func readApps(ctx context.Context, tx *sql.Tx, what string, id app.ID) ([]app.App, error) {
	apps, err := collect(ctx, tx, what, scanApp, `
		SELECT id, name, disabled, created, identity, trusted_networks, origins, audience,
			session_algorithm, access_algorithm, scopes, public
		FROM apps WHERE ?1 = '' OR id = ?1 ORDER BY created, id`, string(id))
	if err != nil {
		return nil, err
	}
	secrets, err := collect(ctx, tx, what, scanSecret, `
		SELECT app, id, hash, sealed, not_before, not_after
		FROM app_secrets WHERE ?1 = '' OR app = ?1 ORDER BY app, position`, string(id))
	if err != nil {
		return nil, err
	}
	byApp := make(map[app.ID][]app.Secret, len(apps))
	for _, owned := range secrets {
		byApp[owned.app] = append(byApp[owned.app], owned.secret)
	}
	for i := range apps {
		apps[i].Secrets = byApp[apps[i].ID]
	}
	return apps, nil
}

func scanApp(r rows) (a app.App, err error) {
	err = r.Scan(&a.ID, &a.Name, &a.Disabled, (*stamp)(&a.Created), &a.Identity,
		(*list[netip.Prefix])(&a.TrustedNetworks), (*list[string])(&a.Origins), &a.Audience,
		&a.SessionAlgorithm, &a.AccessAlgorithm, (*list[string])(&a.Scopes), &a.Public)
	return a, err
}

type ownedSecret struct {
	app    app.ID
	secret app.Secret
}

func scanSecret(r rows) (o ownedSecret, err error) {
	err = r.Scan(&o.app, &o.secret.ID, (*digest)(&o.secret.Hash), &o.secret.Sealed,
		(*stamp)(&o.secret.NotBefore), (*stamp)(&o.secret.NotAfter))
	return o, err
}

// AddApp adds an app. If the id is taken, that is a conflict.
func (s *Store) AddApp(ctx context.Context, a app.App) error {
	return s.change(ctx, "add app", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO apps (name, disabled, created, identity, trusted_networks, origins, audience,
				session_algorithm, access_algorithm, scopes, public, id)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, appColumns(&a)...)
		if taken(err) {
			return fault.Newf(fault.Conflict, "app %s exists already", a.ID)
		}
		if err != nil {
			return err
		}
		return saveSecrets(ctx, tx, &a)
	})
}

// EditApp changes the app of an id with its secrets, as [Store.EditUser] does a user.
func (s *Store) EditApp(ctx context.Context, id app.ID, edit func(*app.App) error) error {
	const what = "edit app"
	return s.change(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		found, err := readApps(ctx, tx, what, id)
		if err != nil {
			return err
		}
		if id == "" || len(found) == 0 {
			return fault.Newf(fault.NotFound, "there is no app %q", id)
		}
		a := &found[0]
		if err := edit(a); err != nil {
			return err
		}
		a.ID = id
		_, err = tx.ExecContext(ctx, `
			UPDATE apps SET name = ?, disabled = ?, created = ?, identity = ?, trusted_networks = ?, origins = ?,
				audience = ?, session_algorithm = ?, access_algorithm = ?, scopes = ?, public = ? WHERE id = ?`, appColumns(a)...)
		if err != nil {
			return err
		}
		return saveSecrets(ctx, tx, a)
	})
}

// appColumns are all but the secrets, the id last.
func appColumns(a *app.App) []any {
	return []any{
		a.Name, a.Disabled, stamp(a.Created), a.Identity,
		list[netip.Prefix](a.TrustedNetworks), list[string](a.Origins), a.Audience,
		a.SessionAlgorithm, a.AccessAlgorithm, list[string](a.Scopes), a.Public, a.ID,
	}
}

// saveSecrets replaces the app's secrets.
func saveSecrets(ctx context.Context, tx *sql.Tx, a *app.App) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM app_secrets WHERE app = ?`, a.ID); err != nil {
		return err
	}
	for i, s := range a.Secrets {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO app_secrets (app, position, id, hash, sealed, not_before, not_after)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
			a.ID, i, s.ID, digest(s.Hash), s.Sealed, stamp(s.NotBefore), stamp(s.NotAfter))
		if err != nil {
			return err
		}
	}
	return nil
}
