package sqlite

import (
	"strings"
	"testing"
)

// TestCredentialPlans wants an index for whatever is asked of millions of rows.
func TestCredentialPlans(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tc := range map[string]struct {
		query string
		args  int
		want  string // the step that decides
	}{
		"by key":           {selectByKey, 1, "SEARCH c USING INDEX credentials_key (key=?)"},
		"by id or key":     {selectByName, 3, "SEARCH c USING INDEX credentials_id (id=?)"},
		"page":             {selectPage, 2, "SEARCH c USING INTEGER PRIMARY KEY (rowid>?)"},
		"page of consumer": {selectPageOf, 3, "SEARCH c USING INDEX credentials_consumer (consumer=? AND rowid>?)"},
		"purge":            {deleteRemoved, 1, "SEARCH credentials USING COVERING INDEX credentials_consumer (consumer=?)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := explainPlan(t, s, tc.query, make([]any, tc.args))
			if !strings.Contains(plan, tc.want) {
				t.Errorf("plan lacks %q:\n%s", tc.want, plan)
			}
			for step := range strings.Lines(plan) {
				if strings.HasPrefix(strings.TrimSpace(step), "SCAN") {
					t.Errorf("plan has %q:\n%s", step, plan)
				}
			}
		})
	}
}
