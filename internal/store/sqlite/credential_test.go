package sqlite

import (
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/store/table"
)

// TestCredentialPlans wants an index for whatever is asked of millions of rows.
func TestCredentialPlans(t *testing.T) {
	t.Parallel()
	s := open(t)
	decides := map[string]string{ // the step that decides
		"credential by key":         "SEARCH c USING INDEX credentials_key (key=?)",
		"credential by id or key":   "SEARCH c USING INDEX credentials_id (id=?)",
		"page of credentials":       "SEARCH c USING INTEGER PRIMARY KEY (rowid>?)",
		"page of one consumer's":    "SEARCH c USING INDEX credentials_consumer (consumer=? AND rowid>?)",
		"credentials to be deleted": "SEARCH credentials USING COVERING INDEX credentials_consumer (consumer=?)",
	}
	for name, p := range table.Plans() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := explainPlan(t, s, p.Query, make([]any, p.Args))
			if want := decides[name]; want == "" || !strings.Contains(plan, want) {
				t.Errorf("plan lacks %q:\n%s", want, plan)
			}
			for step := range strings.Lines(plan) {
				if strings.HasPrefix(strings.TrimSpace(step), "SCAN") {
					t.Errorf("plan has %q:\n%s", step, plan)
				}
			}
		})
	}
}
