package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
)

// Keys returns the keys of all sets, in the order of their making.
func (s *Store) Keys(ctx context.Context) ([]key.Key, error) {
	return collect(ctx, s.readers, "read keys", scanKey, `
		SELECT set_name, public, sealed, created, active, retire, expire, revoked
		FROM keys ORDER BY created, set_name, kid`)
}

func scanKey(r rows) (k key.Key, err error) {
	err = r.Scan(&k.Set, jwk{&k.Public}, &k.Sealed, (*stamp)(&k.Created), (*stamp)(&k.Active),
		(*stamp)(&k.Retire), (*stamp)(&k.Expire), (*stamp)(&k.Revoked))
	return k, err
}

// SaveKeys adds keys and updates those that are there, all or none. Two things
// never change, whoever writes last: a kid stands for one key (another one is a
// conflict), and a revocation stays.
func (s *Store) SaveKeys(ctx context.Context, keys ...key.Key) error {
	return s.change(ctx, "save keys", func(ctx context.Context, tx *sql.Tx) error {
		for i := range keys {
			if err := saveKey(ctx, tx, &keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func saveKey(ctx context.Context, tx *sql.Tx, k *key.Key) error {
	public, err := k.Public.MarshalJWK()
	if err != nil {
		return fmt.Errorf("key %s: %w", k.Public.ID(), err)
	}
	r, err := tx.ExecContext(ctx, `
		INSERT INTO keys (set_name, kid, public, sealed, created, active, retire, expire, revoked)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (set_name, kid) DO UPDATE SET
			sealed = excluded.sealed, created = excluded.created, active = excluded.active,
			retire = excluded.retire, expire = excluded.expire,
			revoked = COALESCE(revoked, excluded.revoked)
		WHERE public = excluded.public`,
		k.Set, k.Public.ID(), string(public), k.Sealed, stamp(k.Created), stamp(k.Active),
		stamp(k.Retire), stamp(k.Expire), stamp(k.Revoked))
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.Newf(fault.Conflict, "key %s of set %s is another key", k.Public.ID(), k.Set)
}
