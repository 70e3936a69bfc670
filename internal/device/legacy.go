package device

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// legacy keeps a credential for each device of version 1.
type legacy interface {
	// Legacy returns the HS256 secret of the consumer's credential with that key, and
	// makes the credential if there is none. A consumer that is not there is
	// [fault.NotFound], a key that another one has [fault.Conflict].
	Legacy(ctx context.Context, consumer, key string) (secret.Bytes, error)
}

// Credential is what a device of version 1 gets. It is the device's to sign more
// tokens with.
type Credential struct {
	Secret secret.Bytes
	Token  string // HS256, of the claims iss (the device key) and iat
}

// RegisterLegacy returns the credential of the device that names itself deviceKey,
// the same one each time, with a new token.
//
// A consumer that is not listed is [fault.NotFound], a bad key a [*KeyError]. What
// the store refuses is a [*CreateError].
func (r *Registrar) RegisterLegacy(ctx context.Context, consumer, deviceKey string) (Credential, error) {
	if err := r.check(deviceKey, true); err != nil {
		return Credential{}, err
	}
	if !slices.Contains(r.c.LegacyConsumers, consumer) {
		return Credential{}, errNoSet
	}
	s, err := r.c.Legacy.Legacy(ctx, consumer, deviceKey)
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Conflict, fault.Denied, fault.Invalid:
		return Credential{}, &CreateError{Taken: fault.KindOf(err) == fault.Conflict, Err: err}
	default:
		if err != nil {
			return Credential{}, fmt.Errorf("make legacy credential: %w", err)
		}
	}
	signer, err := jose.NewImportedSecretKey(jose.HS256, "", s.Reveal())
	if err != nil {
		return Credential{}, fmt.Errorf("legacy credential: %w", err)
	}
	text, err := json.Marshal(claims{deviceKey, r.c.Clock().Unix()})
	if err != nil {
		return Credential{}, fmt.Errorf("write claims: %w", err)
	}
	token, err := signer.Sign("", text)
	if err != nil {
		return Credential{}, fmt.Errorf("sign legacy token: %w", err)
	}
	return Credential{s, token}, nil
}

// CreateError says that no credential could be made.
type CreateError struct {
	Taken bool // another consumer has the key
	Err   error
}

// Error implements error.
func (e *CreateError) Error() string { return "no credential is made: " + e.Err.Error() }

// Unwrap returns the store's reason.
func (e *CreateError) Unwrap() error { return e.Err }
