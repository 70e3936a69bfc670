package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
)

// TestAuditLogStays tries what no code of ours does.
func TestAuditLogStays(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "carnet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the folder goes with the test
	defer run(t, s)()
	if err := s.AddEntries(t.Context(), []audit.Entry{{At: time.Now(), Action: audit.AppAdd}}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`UPDATE audit SET actor = 'nobody'`, `DELETE FROM audit`, `INSERT OR REPLACE INTO audit SELECT * FROM audit`,
	} {
		if _, err := s.writer.ExecContext(t.Context(), query); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v, want a refusal", query, err)
		}
	}
}
