package user

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/wire"
)

// MaxName is the longest name, in bytes.
const MaxName = 128

// store is where the users are kept. EditUser changes a user as they are when it
// commits: of two edits at once, wherever they come from, none is lost.
type store interface {
	AddUser(ctx context.Context, u User) error                         // fault.Conflict if the name is taken
	EditUser(ctx context.Context, id ID, edit func(*User) error) error // fault.NotFound
	User(ctx context.Context, id ID) (User, error)                     // fault.NotFound
	UserByName(ctx context.Context, name string) (User, error)         // fault.NotFound
	Users(ctx context.Context) ([]User, error)
}

// signIns is where people are signed in.
type signIns interface {
	// EndAll signs a subject out everywhere.
	EndAll(ctx context.Context, subject string) error
}

// Config requires Store and SignIns.
type Config struct {
	Store   store
	SignIns signIns
	Cost    Cost             // of new hashes; zero: DefaultCost
	Clock   func() time.Time // nil: time.Now
}

// Directory is the people who sign in with a password. It asks the store each
// time: a user who was disabled anywhere is refused everywhere at once. It is
// safe for concurrent use.
type Directory struct {
	store   store
	signIns signIns
	hasher  *hasher
	clock   func() time.Time
}

// New refuses a cost that is out of bounds.
func New(c Config) (*Directory, error) {
	if c.Cost == (Cost{}) {
		c.Cost = DefaultCost
	}
	if !c.Cost.valid() {
		return nil, fmt.Errorf("argon2id cost %+v: want at most %d KiB, %d passes, %d threads, and at least 8 KiB a thread",
			c.Cost, maxMemory, maxPasses, maxThreads)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Directory{store: c.Store, signIns: c.SignIns, hasher: newHasher(c.Cost), clock: c.Clock}, nil
}

// Normalize is the form in which names are stored and compared: lower case.
func Normalize(name string) string { return strings.ToLower(name) }

// Add makes a user. The name is normalized; scopes are what their access tokens
// may carry.
func (d *Directory) Add(ctx context.Context, name string, password secret.Bytes, scopes []string) (User, error) {
	name = Normalize(name)
	if !validName(name) {
		return User{}, fault.BadField("username", fmt.Sprintf("must be 1 to %d bytes of printable UTF-8 without blanks", MaxName))
	}
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	if err := checkScopes(scopes); err != nil {
		return User{}, err
	}
	phc, err := d.hasher.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	u := User{
		ID: ID("usr_" + strings.ToLower(rand.Text()[:16])), Name: name, Password: phc,
		Scopes: slices.Clone(scopes), Created: d.clock(),
	}
	if err := d.store.AddUser(ctx, u); err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	return u, nil
}

// Authenticate returns the enabled user of that name and password. An unknown
// name, a wrong password and a disabled user take the same work and get the same
// [fault.Unauthenticated].
func (d *Directory) Authenticate(ctx context.Context, name string, password secret.Bytes) (User, error) {
	u, err := d.find(ctx, name)
	if err != nil {
		return User{}, err
	}
	cost, err := d.prove(ctx, &u, password)
	if err != nil {
		return User{}, err
	}
	if cost != d.hasher.cost {
		return u, d.rehash(ctx, u, password)
	}
	return u, nil
}

// prove tells whether the password is that of an enabled user, and at which cost it is
// stored; a refusal is errWrong. The zero User takes as long as another.
func (d *Directory) prove(ctx context.Context, u *User, password secret.Bytes) (Cost, error) {
	stored := d.hasher.nobody
	if u.ID != "" {
		var err error
		if stored, err = parseHash(u.Password); err != nil {
			return Cost{}, fmt.Errorf("user %s: %w", u.ID, err)
		}
	}
	// No stored password is as long as this: it is refused, but hashed all the same.
	tooLong := password.Len() > maxPassword
	if tooLong {
		password = secret.Bytes{}
	}
	ok, err := d.hasher.matches(ctx, stored, password)
	if err != nil {
		return Cost{}, err
	}
	if !ok || tooLong || u.ID == "" || u.Disabled {
		return Cost{}, errWrong
	}
	return stored.Cost, nil
}

// find returns the zero User if nobody has the name.
func (d *Directory) find(ctx context.Context, name string) (User, error) {
	name = Normalize(name)
	if !validName(name) {
		return User{}, nil // nobody can have it
	}
	u, err := d.store.UserByName(ctx, name)
	if fault.KindOf(err) == fault.NotFound {
		return User{}, nil
	}
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	return u, nil
}

// rehash stores the password at today's cost, unless it was changed meanwhile.
func (d *Directory) rehash(ctx context.Context, u User, password secret.Bytes) error {
	phc, err := d.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return d.edit(ctx, u.ID, func(now *User) {
		if now.Password == u.Password {
			now.Password = phc
		}
	})
}

// ChangePassword is for users themselves, who have to show the password that they had.
// Where they are signed in they stay: that is the caller's to end.
func (d *Directory) ChangePassword(ctx context.Context, id ID, old, fresh secret.Bytes) error {
	u, err := d.store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("find user %s: %w", id, err)
	}
	if err := checkPassword(fresh); err != nil {
		return err
	}
	if _, err := d.prove(ctx, &u, old); err != nil {
		return err
	}
	phc, err := d.hasher.hash(ctx, fresh)
	if err != nil {
		return err
	}
	changed := false
	if err := d.edit(ctx, id, func(now *User) {
		if changed = now.Password == u.Password; changed {
			now.Password = phc
		}
	}); err != nil {
		return err
	}
	if !changed {
		return fault.New(fault.Conflict, "the password was changed elsewhere meanwhile")
	}
	return nil
}

// SetPassword replaces the user's password and does [Directory.SignOut].
func (d *Directory) SetPassword(ctx context.Context, id ID, password secret.Bytes) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	phc, err := d.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	if err := d.edit(ctx, id, func(u *User) { u.Password = phc }); err != nil {
		return err
	}
	return d.SignOut(ctx, id)
}

// SetScopes replaces what the user's access tokens may carry. To take a scope away
// does [Directory.SignOut], for a sign-in carries on what it began with.
func (d *Directory) SetScopes(ctx context.Context, id ID, scopes []string) error {
	if err := checkScopes(scopes); err != nil {
		return err
	}
	fewer := false
	err := d.edit(ctx, id, func(u *User) {
		fewer = slices.ContainsFunc(u.Scopes, func(s string) bool { return !slices.Contains(scopes, s) })
		u.Scopes = slices.Clone(scopes)
	})
	if err != nil || !fewer {
		return err
	}
	return d.SignOut(ctx, id)
}

// SignOut ends all sign-ins of the user, with their access tokens.
func (d *Directory) SignOut(ctx context.Context, id ID) error {
	if err := d.signIns.EndAll(ctx, string(id)); err != nil {
		return fmt.Errorf("sign user %s out: %w", id, err)
	}
	return nil
}

// Disable makes the user unable to sign in, and does [Directory.SignOut].
func (d *Directory) Disable(ctx context.Context, id ID) error {
	if err := d.edit(ctx, id, func(u *User) { u.Disabled = true }); err != nil {
		return err
	}
	return d.SignOut(ctx, id)
}

// Enable lets the user sign in again.
func (d *Directory) Enable(ctx context.Context, id ID) error {
	return d.edit(ctx, id, func(u *User) { u.Disabled = false })
}

func (d *Directory) edit(ctx context.Context, id ID, change func(*User)) error {
	err := d.store.EditUser(ctx, id, func(u *User) error { change(u); return nil })
	if err != nil {
		return fmt.Errorf("change user %s: %w", id, err)
	}
	return nil
}

// Active tells whether the subject is a user who may go on. A subject that is no
// user of this directory is not.
func (d *Directory) Active(ctx context.Context, subject string) (bool, error) {
	u, err := d.ByID(ctx, subject)
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && !u.Disabled, err
}

// ByID returns the user of a subject, [fault.NotFound] if there is none.
func (d *Directory) ByID(ctx context.Context, subject string) (User, error) {
	u, err := d.store.User(ctx, ID(subject))
	if err != nil {
		return User{}, fmt.Errorf("find user %s: %w", subject, err)
	}
	return u, nil
}

// ByName returns the user of that name, [fault.NotFound] if nobody has it.
func (d *Directory) ByName(ctx context.Context, name string) (User, error) {
	u, err := d.find(ctx, name)
	if err == nil && u.ID == "" {
		err = fault.Newf(fault.NotFound, "there is no user %q", name)
	}
	return u, err
}

// All lists the users.
func (d *Directory) All(ctx context.Context) ([]User, error) {
	users, err := d.store.Users(ctx)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

func validName(name string) bool {
	return name != "" && len(name) <= MaxName && utf8.ValidString(name) && !strings.ContainsRune(name, utf8.RuneError) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}

// checkScopes wants scope tokens (RFC 6749 §3.3).
func checkScopes(scopes []string) error {
	for i, s := range scopes {
		if !wire.ScopeToken(s) {
			return fault.BadField(fmt.Sprintf("scopes[%d]", i), `must be printable ASCII without blank, " and \`)
		}
	}
	return nil
}
