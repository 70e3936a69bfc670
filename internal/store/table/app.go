package table

import (
	"context"
	"net/netip"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
)

// Apps returns all apps with their secrets, in the order of their making.
func (t *Tables) Apps(ctx context.Context) (all []app.App, err error) {
	const what = "read apps"
	err = t.db.Snapshot(ctx, func(q Querier) error { // of both tables
		all, err = t.readApps(ctx, q, what, "")
		return err
	})
	return all, t.db.Explain(what, err)
}

// readApps returns the app of an id, or all for an empty one.
func (t *Tables) readApps(ctx context.Context, q Querier, what string, id app.ID) ([]app.App, error) {
	apps, err := collect(ctx, t, q, what, scanApp, `
		SELECT id, name, disabled, created, identity, trusted_networks, origins, audience,
			session_algorithm, access_algorithm, scopes, public, connector, cookies,
			claims, grants, redirect_uris, first_party, user_scopes, audiences, targets, keys,
			networks, https_only
		FROM apps WHERE ?1 = '' OR id = ?1 ORDER BY created, id`, string(id))
	if err != nil {
		return nil, err
	}
	secrets, err := collect(ctx, t, q, what, scanSecret, `
		SELECT app, id, hash, sealed, ref, not_before, not_after
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

func scanApp(r Rows) (a app.App, err error) {
	err = r.Scan(&a.ID, &a.Name, &a.Disabled, (*Stamp)(&a.Created), &a.Identity,
		(*List[netip.Prefix])(&a.TrustedNetworks), (*List[string])(&a.Origins), &a.Audience,
		&a.SessionAlgorithm, &a.AccessAlgorithm, (*List[string])(&a.Scopes), &a.Public,
		&a.Connector, (*List[string])(&a.Cookies),
		&a.Claims, (*List[app.Grant])(&a.Grants), (*List[string])(&a.RedirectURIs), &a.FirstParty,
		(*List[string])(&a.UserScopes), (*List[string])(&a.Audiences), (*List[string])(&a.Targets), (*List[app.Key])(&a.Keys),
		(*List[netip.Prefix])(&a.Networks), &a.HTTPSOnly)
	return a, err
}

type ownedSecret struct {
	app    app.ID
	secret app.Secret
}

func scanSecret(r Rows) (o ownedSecret, err error) {
	err = r.Scan(&o.app, &o.secret.ID, (*digest)(&o.secret.Hash), &o.secret.Sealed, &o.secret.Ref,
		(*Stamp)(&o.secret.NotBefore), (*Stamp)(&o.secret.NotAfter))
	return o, err
}

// AddApp adds an app. If the id is taken, that is a conflict.
func (t *Tables) AddApp(ctx context.Context, a app.App) error {
	return t.db.Change(ctx, "add app", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO apps (name, disabled, created, identity, trusted_networks, origins, audience,
				session_algorithm, access_algorithm, scopes, public, connector, cookies,
				claims, grants, redirect_uris, first_party, user_scopes, audiences, targets, keys,
				networks, https_only, id)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, appColumns(&a)...)
		if _, there := t.db.Taken(err); there {
			return fault.Newf(fault.Conflict, "app %s exists already", a.ID)
		}
		if err != nil {
			return err
		}
		return saveSecrets(ctx, tx, &a)
	})
}

// EditApp changes the app of an id with its secrets, as [Tables.EditUser] does a user.
func (t *Tables) EditApp(ctx context.Context, id app.ID, edit func(*app.App) error) error {
	const what = "edit app"
	return t.db.Change(ctx, what, func(ctx context.Context, tx Tx) error {
		found, err := t.readApps(ctx, tx, what, id)
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
				audience = ?, session_algorithm = ?, access_algorithm = ?, scopes = ?, public = ?,
				connector = ?, cookies = ?, claims = ?, grants = ?, redirect_uris = ?, first_party = ?,
				user_scopes = ?, audiences = ?, targets = ?, keys = ?, networks = ?, https_only = ? WHERE id = ?`, appColumns(a)...)
		if err != nil {
			return err
		}
		return saveSecrets(ctx, tx, a)
	})
}

// appColumns are all but the secrets, the id last.
func appColumns(a *app.App) []any {
	return []any{
		a.Name, a.Disabled, Stamp(a.Created), a.Identity,
		List[netip.Prefix](a.TrustedNetworks), List[string](a.Origins), a.Audience,
		a.SessionAlgorithm, a.AccessAlgorithm, List[string](a.Scopes), a.Public,
		a.Connector, List[string](a.Cookies),
		a.Claims, List[app.Grant](a.Grants), List[string](a.RedirectURIs), a.FirstParty,
		List[string](a.UserScopes), List[string](a.Audiences), List[string](a.Targets), List[app.Key](a.Keys),
		List[netip.Prefix](a.Networks), a.HTTPSOnly, a.ID,
	}
}

// saveSecrets replaces the app's secrets.
func saveSecrets(ctx context.Context, tx Tx, a *app.App) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM app_secrets WHERE app = ?`, a.ID); err != nil {
		return err
	}
	for i, s := range a.Secrets {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO app_secrets (app, position, id, hash, sealed, ref, not_before, not_after)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			a.ID, i, s.ID, digest(s.Hash), s.Sealed, s.Ref, Stamp(s.NotBefore), Stamp(s.NotAfter))
		if err != nil {
			return err
		}
	}
	return nil
}
