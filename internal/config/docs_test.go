package config

import (
	"errors"
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
	dir := t.TempDir()
	path := filepath.Join(dir, "carnet.yaml")
	err = errors.Join(
		os.WriteFile(path, []byte("# What is left out"+text), 0o600),
		os.Mkdir(filepath.Join(dir, "apis"), 0o700),
		os.WriteFile(filepath.Join(dir, "apis", "verify.json"), []byte(connectorJSON), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{Path: path, Handlers: map[string]string{"device": Issue, "echo": ""}}); err != nil {
		t.Error(err)
	}
}
