package table

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/user"
)

const selectUser = `SELECT id, name, password, disabled, scopes, created FROM users`

// Users returns all users by name.
func (t *Tables) Users(ctx context.Context) ([]user.User, error) {
	return collect(ctx, t, t.db.Reader(), "read users", scanUser, selectUser+` ORDER BY name`)
}

// User returns the user of an id, or a fault of kind NotFound.
func (t *Tables) User(ctx context.Context, id user.ID) (user.User, error) {
	return t.user(ctx, selectUser+` WHERE id = ?`, string(id))
}

// UserByName returns the user of a name, compared as it stands, or a fault of
// kind NotFound.
func (t *Tables) UserByName(ctx context.Context, name string) (user.User, error) {
	return t.user(ctx, selectUser+` WHERE name = ?`, name)
}

func (t *Tables) user(ctx context.Context, query, arg string) (user.User, error) {
	u, err := scanUser(t.db.Reader().QueryRowContext(ctx, query, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return user.User{}, fault.New(fault.NotFound, "no such user")
	}
	return u, t.db.Explain("read user", err)
}

func scanUser(r Rows) (u user.User, err error) {
	err = r.Scan(&u.ID, &u.Name, &u.Password, &u.Disabled, (*List[string])(&u.Scopes), (*Stamp)(&u.Created))
	return u, err
}

const insertUser = `INSERT INTO users (name, password, disabled, scopes, created, id) VALUES (?, ?, ?, ?, ?, ?)`

// AddUser adds a user. If the name or the id is taken, that is a conflict.
func (t *Tables) AddUser(ctx context.Context, u user.User) error {
	return t.db.Change(ctx, "add user", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, insertUser, userColumns(&u)...)
		return t.takenName(err, &u)
	})
}

// EditUser changes the user of an id. edit gets the user as no other write can
// change it before this one commits, so that of two edits at once neither is lost;
// its error changes nothing. It must not call the store. If there is no such user,
// that is a fault of kind NotFound, and if the new name is another user's, a conflict.
func (t *Tables) EditUser(ctx context.Context, id user.ID, edit func(*user.User) error) error {
	return t.db.Change(ctx, "edit user", func(ctx context.Context, tx Tx) error {
		u, err := scanUser(tx.QueryRowContext(ctx, selectUser+` WHERE id = ?`, string(id)))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "no such user")
		}
		if err == nil {
			err = edit(&u)
		}
		if err != nil {
			return err
		}
		u.ID = id
		_, err = tx.ExecContext(ctx, `
			UPDATE users SET name = ?, password = ?, disabled = ?, scopes = ?, created = ? WHERE id = ?`,
			userColumns(&u)...)
		return t.takenName(err, &u)
	})
}

// userColumns are all of them, the id last.
func userColumns(u *user.User) []any {
	return []any{u.Name, u.Password, u.Disabled, List[string](u.Scopes), Stamp(u.Created), u.ID}
}

func (t *Tables) takenName(err error, u *user.User) error {
	if _, there := t.db.Taken(err); there {
		return fault.Newf(fault.Conflict, "user %s exists already", u.Name)
	}
	return err
}
