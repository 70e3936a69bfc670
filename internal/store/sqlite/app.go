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
	apps, err := collect(ctx, tx, what, scanApp, `
		SELECT id, name, disabled, created, identity, trusted_networks, origins, audience,
			session_algorithm, access_algorithm, scopes
		FROM apps ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	secrets, err := collect(ctx, tx, what, scanSecret, `
		SELECT app, id, hash, sealed, not_before, not_after FROM app_secrets ORDER BY app, position`)
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
		&a.SessionAlgorithm, &a.AccessAlgorithm, (*list[string])(&a.Scopes))
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

const insertApp = `
	INSERT INTO apps (id, name, disabled, created, identity, trusted_networks, origins, audience,
		session_algorithm, access_algorithm, scopes)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// AddApp adds an app. If the id is taken, that is a conflict.
func (s *Store) AddApp(ctx context.Context, a app.App) error {
	return s.change(ctx, "add app", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertApp, appColumns(&a)...)
		if taken(err) {
			return fault.Newf(fault.Conflict, "app %s exists already", a.ID)
		}
		if err != nil {
			return err
		}
		return saveSecrets(ctx, tx, &a)
	})
}

// SaveApp adds or replaces an app with all its secrets.
func (s *Store) SaveApp(ctx context.Context, a app.App) error {
	return s.change(ctx, "save app", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertApp+`
			ON CONFLICT (id) DO UPDATE SET
				name = excluded.name, disabled = excluded.disabled, created = excluded.created,
				identity = excluded.identity, trusted_networks = excluded.trusted_networks,
				origins = excluded.origins, audience = excluded.audience,
				session_algorithm = excluded.session_algorithm,
				access_algorithm = excluded.access_algorithm, scopes = excluded.scopes`,
			appColumns(&a)...)
		if err != nil {
			return err
		}
		return saveSecrets(ctx, tx, &a)
	})
}

func appColumns(a *app.App) []any {
	return []any{
		a.ID, a.Name, a.Disabled, stamp(a.Created), a.Identity,
		list[netip.Prefix](a.TrustedNetworks), list[string](a.Origins), a.Audience,
		a.SessionAlgorithm, a.AccessAlgorithm, list[string](a.Scopes),
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
