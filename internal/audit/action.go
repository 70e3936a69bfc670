package audit

import (
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Action is what was done: the kind of its object, a dot, and a verb.
type Action string

// What operators do, by commands or over an Admin API.
const (
	AppAdd       Action = "app.add"
	AppSet       Action = "app.set"
	AppRotate    Action = "app.rotate" // its secret
	AppDisable   Action = "app.disable"
	AppEnable    Action = "app.enable"
	AppAddKey    Action = "app.add_key"
	AppRemoveKey Action = "app.remove_key"

	UserAdd      Action = "user.add"
	UserSet      Action = "user.set" // the scopes
	UserDisable  Action = "user.disable"
	UserEnable   Action = "user.enable"
	UserPassword Action = "user.password" // it is another one, by whomever
	UserSignOut  Action = "user.sign_out" // by whomever

	KeyRotate Action = "key.rotate" // by the system: for each key that begins
	KeyRetire Action = "key.retire" // by the system: for each that ends
	KeyRevoke Action = "key.revoke"
	KeyImport Action = "key.import"

	RevocationAdd    Action = "revocation.add"
	RevocationRemove Action = "revocation.remove"

	ConsumerAdd          Action = "consumer.add"
	ConsumerEdit         Action = "consumer.edit"
	ConsumerRemove       Action = "consumer.remove"
	ConsumerDecommission Action = "consumer.decommission"

	CredentialAdd    Action = "credential.add"
	CredentialEdit   Action = "credential.edit"
	CredentialRemove Action = "credential.remove"
	CredentialImport Action = "credential.import" // once for a run

	EntityAdd    Action = "entity.add" // services, routes, plugins, upstreams and targets
	EntityEdit   Action = "entity.edit"
	EntityRemove Action = "entity.remove"
	EntityImport Action = "entity.import" // of a kong.yml, with its consumers; once for a run

	SecretPut    Action = "secret.put" // into the built-in vault
	SecretDelete Action = "secret.delete"

	RestrictionClear Action = "restriction.clear"

	TurnRetry Action = "turn.retry"
	TurnDrop  Action = "turn.drop"

	StoreCopy Action = "store.copy" // in the copy

	ConfigReload Action = "config.reload"
)

// What happens at the doors.
const (
	UserSignIn         Action = "user.sign_in"
	AppAuthenticate    Action = "app.authenticate"     // when it is refused
	AppEnding          Action = "app.ending"           // its last secret or key ends soon; each node, once a day
	AssertionReplay    Action = "assertion.replay"     // one that was used is shown again
	CodeReplay         Action = "code.replay"          // an authorization code, too
	RefreshTokenReplay Action = "refresh_token.replay" // and a refresh token: its family is revoked
	SessionIssue       Action = "session.issue"        // POST /sts, with a name
	TokenIssue         Action = "token.issue"          // if that is wished for
)

// Actions are all there are.
var Actions = []Action{
	AppAdd, AppSet, AppRotate, AppDisable, AppEnable, AppAddKey, AppRemoveKey,
	UserAdd, UserSet, UserDisable, UserEnable, UserPassword, UserSignOut,
	KeyRotate, KeyRetire, KeyRevoke, KeyImport,
	RevocationAdd, RevocationRemove,
	ConsumerAdd, ConsumerEdit, ConsumerRemove, ConsumerDecommission,
	CredentialAdd, CredentialEdit, CredentialRemove, CredentialImport,
	EntityAdd, EntityEdit, EntityRemove, EntityImport,
	SecretPut, SecretDelete, RestrictionClear, TurnRetry, TurnDrop, StoreCopy, ConfigReload,
	UserSignIn, AppAuthenticate, AppEnding, AssertionReplay, CodeReplay, RefreshTokenReplay, SessionIssue, TokenIssue,
}

// Matching are the actions of a name, or with * at its end of all names that begin so.
func Matching(pattern string) ([]Action, error) {
	begin, open := strings.CutSuffix(pattern, "*")
	var found []Action
	for _, a := range Actions {
		if string(a) == pattern || open && strings.HasPrefix(string(a), begin) {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil, fault.BadField("action", "must be the name of an action such as app.rotate, or the begin of some and *, as in app.*")
	}
	return found, nil
}

// ParseOutcome returns the outcome of a name.
func ParseOutcome(name string) (Outcome, error) {
	if o := Outcome(name); slices.Contains(Outcomes, o) {
		return o, nil
	}
	return "", fault.BadField("outcome", "must be ok, refused, limited or failed")
}
