// Package storetest is what every store of Carnet must do, as tests: one suite
// proves them all.
package storetest

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

// Store is all that the suite exercises. What each method promises stands with the
// interfaces of the packages that use it.
type Store interface {
	Keys(ctx context.Context) ([]key.Key, error)
	SaveKeys(ctx context.Context, seen []key.Key, keys ...key.Key) error

	Apps(ctx context.Context) ([]app.App, error)
	AddApp(ctx context.Context, a app.App) error
	EditApp(ctx context.Context, id app.ID, edit func(*app.App) error) error

	Users(ctx context.Context) ([]user.User, error)
	User(ctx context.Context, id user.ID) (user.User, error)
	UserByName(ctx context.Context, name string) (user.User, error)
	AddUser(ctx context.Context, u user.User) error
	EditUser(ctx context.Context, id user.ID, edit func(*user.User) error) error

	Family(ctx context.Context, id token.FamilyID) (token.Family, error)
	AddFamily(ctx context.Context, f token.Family) error
	RotateFamily(ctx context.Context, id token.FamilyID, current, next [32]byte, expires, now time.Time) (bool, error)
	RevokeFamily(ctx context.Context, id token.FamilyID, now time.Time) error
	RevokeFamiliesOf(ctx context.Context, subject, but string, now time.Time) error
	DeleteExpiredFamilies(ctx context.Context, before time.Time) (int, error)

	Chat
	Consumers
	Revocations
	Entities
	Secrets
	SecureSessions
	AuthProfiles
	SignIns
	Standings
	Assertions
	Audit

	Version(ctx context.Context) (int64, error)
	Ping(ctx context.Context) error
	Close() error
}

// Opener opens the same data each time it is called. The store it returns is
// ready to write; Close ends it in good order, and may be called by the end of
// the test again.
type Opener func(t *testing.T) Store

// Run runs the suite. fresh makes a place for data that holds nothing yet.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	t.Helper()
	tests := map[string]func(*testing.T, Opener){
		"keys keep all that they are":          testKeysRoundTrip,
		"a kid stands for one key":             testKidIsOneKey,
		"a revocation stays":                   testRevocationStays,
		"keys are saved all or none":           testKeysAllOrNone,
		"of two plans for keys one is saved":   testKeysPlannedAtOnce,
		"apps keep all that they are":          testAppsRoundTrip,
		"an app is added once":                 testAppConflict,
		"editing an app replaces its secrets":  testAppSecretsReplaced,
		"of two edits at once none is lost":    testEditRace,
		"an edit that fails changes nothing":   testEditFails,
		"users keep all that they are":         testUsersRoundTrip,
		"a user's name is taken once":          testUserConflict,
		"unknown rows are not found":           testNotFound,
		"families keep all that they are":      testFamilyRoundTrip,
		"a family rotates if all is right":     testRotateFamily,
		"one of many rotations wins":           testRotateFamilyRace,
		"a revocation of a family is the last": testRevokeFamily,
		"a subject's families end together":    testRevokeFamiliesOf,
		"expired families are forgotten":       testDeleteExpiredFamilies,
		"the version moves with each change":   testVersion,
		"one failure undoes nothing else":      testFailuresAreAlone,
		"a cancelled write did not happen":     testCancel,
		"what was written is there on reopen":  testReopen,
		"two stores share the data":            testTwoStores,
	}
	maps.Copy(tests, chatTests())
	maps.Copy(tests, consumerTests())
	maps.Copy(tests, revocationTests())
	maps.Copy(tests, entityTests())
	maps.Copy(tests, secretTests())
	maps.Copy(tests, secureSessionTests())
	maps.Copy(tests, authProfileTests())
	maps.Copy(tests, signInTests())
	maps.Copy(tests, standingTests())
	maps.Copy(tests, assertionTests())
	maps.Copy(tests, auditTests())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}
