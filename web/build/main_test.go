package main

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const web = ".."

// What is committed is what the sources make.
func TestDistIsFresh(t *testing.T) {
	t.Parallel()
	want, err := build(web)
	if err != nil {
		t.Fatal(err)
	}
	got := readDist(t, filepath.Join(web, "dist"))
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatalf("web/dist is stale, make it anew with go run ./web/build (-sources +dist):\n%s", diff)
	}
	for name := range want {
		if !bytes.Equal(want[name], got[name]) {
			t.Errorf("web/dist/%s is stale: make it anew with go run ./web/build", name)
		}
	}
}

// The budgets are what a page loads: minified, compressed.
func TestBudget(t *testing.T) {
	t.Parallel()
	dist := readDist(t, filepath.Join(web, "dist"))
	for name, most := range map[string]int{
		"sdk/carnet.js": 11 << 10, "sdk/carnet.global.js": 11 << 10, "sdk/carnet-chat.js": 22<<10 + 512,
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(dist[name]); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if len(dist[name]) == 0 || b.Len() > most {
			t.Errorf("%s has %d bytes compressed, the budget is 1 to %d", name, b.Len(), most)
		}
	}
}

func TestRunReplacesDist(t *testing.T) {
	t.Parallel()
	root := copySources(t)
	stale := filepath.Join(root, "dist", "old.js")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(root); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readDist(t, filepath.Join(web, "dist")), readDist(t, filepath.Join(root, "dist"))); diff != "" {
		t.Errorf("dist (-committed +made):\n%s", diff)
	}
}

func TestBuildSaysWhere(t *testing.T) {
	t.Parallel()
	root := copySources(t)
	if err := os.WriteFile(filepath.Join(root, "sdk/src/backoff.ts"), []byte("export const backoff =\n  = 1;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(root); err == nil || !strings.Contains(err.Error(), "sdk/src/backoff.ts:2:2: ") {
		t.Errorf("run() error = %v, want the file and line", err)
	}
	if _, err := os.Stat(filepath.Join(root, "dist")); err == nil {
		t.Error("a failed build left a dist")
	}
}

// copySources returns a folder with the sources, and no dist.
func copySources(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"sdk/src", "demo"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join(web, dir))); err != nil {
			t.Fatal(err)
		}
	}
	// It says which files have side effects, and so what a bundle may leave out.
	about, err := os.ReadFile(filepath.Join(web, "sdk/package.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "sdk/package.json"), about, 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func readDist(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	dist := os.DirFS(dir)
	err := fs.WalkDir(dist, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(dist, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
