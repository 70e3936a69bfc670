package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/audit"
)

// TestAuditLogStays tries what no code of ours does.
func TestAuditLogStays(t *testing.T) {
	t.Parallel()
	url, ctx := database(t), t.Context()
	if err := start(t, url).AddEntries(ctx, []audit.Entry{{At: time.Now(), Action: audit.AppAdd}}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // of a test
	for _, query := range []string{
		`UPDATE audit SET actor = 'nobody'`, `DELETE FROM audit`, `TRUNCATE audit`,
		`INSERT INTO audit SELECT * FROM audit ON CONFLICT (id) DO UPDATE SET actor = 'nobody'`,
	} {
		if _, err := conn.Exec(ctx, query); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v, want a refusal", query, err)
		}
	}
}
