package server

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/key"
)

// TestReloadTakesOverWhatItCan has one row spoiled, and a key revoked elsewhere.
func TestReloadTakesOverWhatItCan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, load(t, dir, ""), func(ctx context.Context, core *Core) error {
		a, _, err := core.Apps.Add(ctx, app.Registration{Name: "portal"})
		if err != nil {
			return err
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, "carnet.db"))
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		if _, err := db.ExecContext(ctx, "UPDATE apps SET cookies = 'rubbish' WHERE id = ?", string(a.ID)); err != nil {
			return err
		}
		other, err := key.New(key.Config{Specs: specs(core.Config), Store: core.store, Clock: core.now})
		if err != nil {
			return err
		}
		if err := other.Load(ctx); err != nil {
			return err
		}
		kid := other.List("access")[0].Public.ID()
		if err := other.Revoke(ctx, kid); err != nil {
			return err
		}
		if err := core.reload(ctx); err == nil || !strings.Contains(err.Error(), "load apps") {
			t.Errorf("reload() = %v, want an error about the apps", err)
		}
		if k := core.Keys.List("access")[0]; k.Public.ID() != kid || k.State(core.now()) != key.Revoked {
			t.Errorf("key %s is %v, want %s revoked", k.Public.ID(), k.State(core.now()), kid)
		}
		return nil
	})
}
