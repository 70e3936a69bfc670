package token

import (
	"context"
	"fmt"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
)

// RevokeAccess takes a verified access token back, and those that it was exchanged for.
// Only the client that it was issued to may (RFC 7009 §2.1).
func (i *Issuer) RevokeAccess(ctx context.Context, t *carnet.Verified, client app.ID) error {
	if revocation.Of(t).App != string(client) {
		return fault.Wrap(fault.Unauthenticated, "the token was issued to another client", ErrGrant)
	}
	expires, _ := t.Expiry()
	_, err := i.c.Revocations.Add(ctx, revocation.Draft{
		Target:  revocation.Target{Kind: revocation.ByToken, Name: t.ID()},
		Expires: expires.Add(carnet.MaxLeeway), Reason: "the client has revoked it", By: string(client),
	})
	if err != nil {
		return fmt.Errorf("take back access token: %w", err)
	}
	return nil
}

// Inspect tells what a refresh token would be good for now if the client showed it; false
// if for nothing, for whatever reason.
func (i *Issuer) Inspect(ctx context.Context, token secret.Bytes, client app.ID) (Family, bool, error) {
	t, ok := parseRefresh(token)
	if !ok {
		return Family{}, false, nil
	}
	f, err := i.c.Families.Family(ctx, t.id())
	if fault.KindOf(err) == fault.NotFound {
		return Family{}, false, nil
	}
	if err != nil {
		return Family{}, false, fmt.Errorf("find refresh family: %w", err)
	}
	var left bool
	f.Scope, left = i.kept(f)
	good := f.App == client && f.Revoked.IsZero() && i.c.Clock().Before(f.Expires) && f.holds(t) && !i.revoked(f) && left
	return f, good, nil
}
