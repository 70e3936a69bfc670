package observe_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestManual holds the manual's table to the metrics that the program names.
func TestManual(t *testing.T) {
	t.Parallel()
	program := map[string]bool{}
	named := regexp.MustCompile(`"(carnet_[a-z_]+)"`)
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile("../" + path)
		for _, name := range named.FindAllSubmatch(text, -1) {
			program[string(name[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `carnet_") {
			continue
		}
		first, _, _ := strings.Cut(line[1:], "|")
		for _, name := range strings.Split(first, ",") {
			manual[strings.Trim(name, " `")] = true
		}
	}
	if diff := cmp.Diff(sorted(program), sorted(manual)); diff != "" {
		t.Errorf("docs/operate.md names other metrics than there are (-program +manual):\n%s", diff)
	}
}

func sorted(names map[string]bool) (all []string) {
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
