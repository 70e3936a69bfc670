package kong

import (
	"strings"
	"testing"
)

// TestNesting has files that are small, and would take the parser gigabytes.
func TestNesting(t *testing.T) {
	t.Parallel()
	const deep = 200_000
	for name, text := range map[string]string{
		"lists":          "consumers: " + strings.Repeat("[", deep),
		"mappings":       "consumers: " + strings.Repeat("{a: ", deep),
		"lists by lines": strings.Repeat("consumers: [\n", deep),
		"dashes":         strings.Repeat("- ", deep) + "x",
		"keys":           strings.Repeat("? ", deep) + "x",
		"both":           strings.Repeat("[{a: ", deep),
	} {
		if _, err := parseYAML([]byte(text)); err == nil || !strings.Contains(err.Error(), "nests") {
			t.Errorf("%s: %v", name, err)
		}
	}
	flat := "_format_version: \"3.0\"\nconsumers:\n" + strings.Repeat("- {username: a, tags: [b, c]}\n", 2000)
	if _, err := parseYAML([]byte(flat)); err != nil {
		t.Errorf("a long file: %v", err)
	}
}
