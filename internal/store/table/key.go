package table

import (
	"context"
	"fmt"
	"slices"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
)

// Keys returns the keys of all sets, in the order of their making.
func (t *Tables) Keys(ctx context.Context) ([]key.Key, error) {
	return collect(ctx, t, t.db.Reader(), "read keys", scanKey, selectKeys)
}

const selectKeys = `
	SELECT set_name, public, sealed, created, active, retire, expire, revoked
	FROM keys ORDER BY created, set_name, kid`

// sameKeys compares two lists of keys, each of which has a key once.
func sameKeys(a, b []key.Key) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(k key.Key) bool { return !slices.ContainsFunc(b, k.Equal) })
}

func scanKey(r Rows) (k key.Key, err error) {
	err = r.Scan(&k.Set, jwk{&k.Public}, &k.Sealed, (*Stamp)(&k.Created), (*Stamp)(&k.Active),
		(*Stamp)(&k.Retire), (*Stamp)(&k.Expire), (*Stamp)(&k.Revoked))
	return k, err
}

// SaveKeys adds keys and updates those that are there, all or none, unless the keys are
// not those any more that Keys has returned as seen: then it is a conflict. So of nodes
// that plan the same change at once one makes it. Two things never change, whoever
// writes last: a kid stands for one key (another one is a conflict), and a revocation
// stays.
func (t *Tables) SaveKeys(ctx context.Context, seen []key.Key, keys ...key.Key) error {
	return t.db.Change(ctx, "save keys", func(ctx context.Context, tx Tx) error {
		stored, err := collect(ctx, t, tx, "read keys", scanKey, selectKeys)
		if err != nil {
			return err
		}
		if !sameKeys(stored, seen) {
			return fault.New(fault.Conflict, "the keys have changed meanwhile")
		}
		for i := range keys {
			if err := saveKey(ctx, tx, &keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func saveKey(ctx context.Context, tx Tx, k *key.Key) error {
	public, err := k.Public.MarshalJWK()
	if err != nil {
		return fmt.Errorf("key %s: %w", k.Public.ID(), err)
	}
	n, err := affected(tx.ExecContext(ctx, `
		INSERT INTO keys (set_name, kid, public, sealed, created, active, retire, expire, revoked)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (set_name, kid) DO UPDATE SET
			sealed = excluded.sealed, created = excluded.created, active = excluded.active,
			retire = excluded.retire, expire = excluded.expire,
			revoked = COALESCE(keys.revoked, excluded.revoked)
		WHERE keys.public = excluded.public`,
		k.Set, k.Public.ID(), string(public), k.Sealed, Stamp(k.Created), Stamp(k.Active),
		Stamp(k.Retire), Stamp(k.Expire), Stamp(k.Revoked)))
	if err != nil || n == 1 {
		return err
	}
	return fault.Newf(fault.Conflict, "key %s of set %s is another key", k.Public.ID(), k.Set)
}
