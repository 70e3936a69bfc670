// Package user is the built-in directory of people who sign in with a password.
package user

import "time"

// ID is a user's subject identifier (sub): random, never reused, never a name.
type ID string

// User is one person of the directory.
type User struct {
	ID       ID
	Name     string // what they type to sign in; unique, compared as stored (lower case, NFC is the caller's)
	Password string // argon2id in the PHC string format
	Disabled bool
	Scopes   []string // what their access tokens may carry
	Created  time.Time
}
