package audit_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
)

// TestEachActionIsTested finds the name of each action in a test outside this package: one
// that has something done, and looks into the log.
func TestEachActionIsTested(t *testing.T) {
	t.Parallel()
	missing := map[audit.Action]bool{}
	for _, a := range audit.Actions {
		missing[a] = true
	}
	for _, dir := range []string{"../api", "../cli", "../server"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".txtar") {
				return err
			}
			text, err := os.ReadFile(path)
			for a := range missing {
				if strings.Contains(string(text), string(a)+" ") {
					delete(missing, a)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no test looks for %v", slices.Sorted(maps.Keys(missing)))
	}
}

// TestActionsAreAll reads the constants: each is in Actions, once.
func TestActionsAreAll(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("action.go")
	if err != nil {
		t.Fatal(err)
	}
	consts := regexp.MustCompile(`Action += "([a-z_]+\.[a-z_]+)"`).FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), `= "`); n != len(consts) {
		t.Errorf("%d constants, and %d of the form kind.verb", n, len(consts))
	}
	seen := map[audit.Action]bool{}
	for _, c := range consts {
		a := audit.Action(c[1])
		if seen[a] || !slices.Contains(audit.Actions, a) {
			t.Errorf("%s stands twice, or not in Actions", a)
		}
		seen[a] = true
	}
	if len(seen) != len(audit.Actions) {
		t.Errorf("%d constants and %d Actions", len(seen), len(audit.Actions))
	}
}

func TestMatching(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]int{
		"*": len(audit.Actions), "app.rotate": 1, "key.*": 4, "turn*": 2, "": -1, "key": -1, "key.": -1, "x*": -1, "*.add": -1,
	} {
		got, err := audit.Matching(pattern)
		if want < 0 && fault.KindOf(err) != fault.Invalid || want >= 0 && (err != nil || len(got) != want) {
			t.Errorf("Matching(%q) = %v, %v; want %d", pattern, got, err, want)
		}
	}
	for _, o := range audit.Outcomes {
		if got, err := audit.ParseOutcome(string(o)); got != o || err != nil {
			t.Errorf("ParseOutcome(%q) = %q, %v", o, got, err)
		}
	}
	if _, err := audit.ParseOutcome("good"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("another outcome: %v", err)
	}
}
