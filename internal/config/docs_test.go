package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManual holds the annotated file of the manual to what is understood.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(manual), "```yaml\n# What is left out")
	text, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatal("docs/operate.md has no annotated configuration")
	}
	path := filepath.Join(t.TempDir(), "carnet.yaml")
	if err := os.WriteFile(path, []byte("# What is left out"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{Path: path, Handlers: map[string]string{"device": Issue, "echo": ""}}); err != nil {
		t.Error(err)
	}
}
