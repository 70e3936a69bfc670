package config

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocuments lists what a node looks at, there or not.
func TestDocuments(t *testing.T) {
	t.Parallel()
	c, err := loadWith(t, "connectors: [apis, verify.json]\nchat: {bots: {echo: , teller: {type: echo, file: bots/teller.json}}}\n", map[string]string{
		"verify.json": connectorJSON, "apis/b.yaml": connectorYAML, "apis/README.md": "x", "apis/a.json": groupJSON,
		"bots/teller.json": documentJSON,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Connectors[0])
	c.Connectors = append(c.Connectors, filepath.Join(dir, "gone.json"))
	var got []string
	for _, file := range c.Documents() {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, filepath.ToSlash(name))
	}
	if diff := cmp.Diff([]string{"apis/a.json", "apis/b.yaml", "verify.json", "gone.json", "bots/teller.json"}, got); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}
