package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/user"
)

const selectUser = `SELECT id, name, password, disabled, scopes, created FROM users`

// Users returns all users by name.
func (s *Store) Users(ctx context.Context) ([]user.User, error) {
	return collect(ctx, s.readers, "read users", scanUser, selectUser+` ORDER BY name`)
}

// User returns the user of an id, or a fault of kind NotFound.
func (s *Store) User(ctx context.Context, id user.ID) (user.User, error) {
	return s.user(ctx, selectUser+` WHERE id = ?`, string(id))
}

// UserByName returns the user of a name, compared as it stands, or a fault of
// kind NotFound.
func (s *Store) UserByName(ctx context.Context, name string) (user.User, error) {
	return s.user(ctx, selectUser+` WHERE name = ?`, name)
}

func (s *Store) user(ctx context.Context, query, arg string) (user.User, error) {
	u, err := scanUser(s.readers.QueryRowContext(ctx, query, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return user.User{}, fault.New(fault.NotFound, "no such user")
	}
	return u, explain("read user", err)
}

func scanUser(r rows) (u user.User, err error) {
	err = r.Scan(&u.ID, &u.Name, &u.Password, &u.Disabled, (*list[string])(&u.Scopes), (*stamp)(&u.Created))
	return u, err
}

const insertUser = `
	INSERT INTO users (id, name, password, disabled, scopes, created) VALUES (?, ?, ?, ?, ?, ?)`

// AddUser adds a user. If the name or the id is taken, that is a conflict.
func (s *Store) AddUser(ctx context.Context, u user.User) error {
	return s.putUser(ctx, "add user", insertUser, &u)
}

// SaveUser adds or replaces the user of an id. If the name is another user's,
// that is a conflict.
func (s *Store) SaveUser(ctx context.Context, u user.User) error {
	return s.putUser(ctx, "save user", insertUser+`
		ON CONFLICT (id) DO UPDATE SET
			name = excluded.name, password = excluded.password, disabled = excluded.disabled,
			scopes = excluded.scopes, created = excluded.created`, &u)
}

func (s *Store) putUser(ctx context.Context, what, query string, u *user.User) error {
	return s.change(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query,
			u.ID, u.Name, u.Password, u.Disabled, list[string](u.Scopes), stamp(u.Created))
		if taken(err) {
			return fault.Newf(fault.Conflict, "user %s exists already", u.Name)
		}
		return err
	})
}
