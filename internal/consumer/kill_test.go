package consumer_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/consumer"
)

// killPath tells this binary to import into a store, as a process of its own.
const killPath = "CARNET_TEST_IMPORT"

// killed are two chunks, since their secrets are long, and batches of both.
func killed() *devices { return &devices{count: killRows, secret: strings.Repeat("s", 4000)} }

const killRows = 30_000

// TestImportChild is the process that is killed.
func TestImportChild(t *testing.T) {
	path := os.Getenv(killPath)
	if path == "" {
		t.Skip("runs in a process of its own")
	}
	n := newNode(t, openAt(t, path))
	n.add(t, "ann", "k", "s")
	batches := 0
	_, err := n.Import(t.Context(), killed(), consumer.ImportOptions{Report: func(r consumer.ImportReport) {
		fmt.Println("rows", r.Rows)
		if batches++; batches == 6 {
			<-t.Context().Done() // it does not come to its end before it is killed
		}
	}})
	t.Errorf("it came to its end: %v", err)
}

// TestImportSurvivesKill kills an import with SIGKILL and continues it.
func TestImportSurvivesKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestImportChild$")
	cmd.Env = append(os.Environ(), killPath+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done, batches := int64(0), 0
	for lines := bufio.NewScanner(out); batches < 5 && lines.Scan(); { // the 5th is of the second chunk
		if n, _ := fmt.Sscanf(lines.Text(), "rows %d", &done); n == 1 {
			batches++
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed

	n := newNode(t, openAt(t, path))
	got, err := n.Import(t.Context(), killed(), consumer.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Resumed < done || got.Resumed == killRows {
		t.Errorf("of %d rows that were told to be in, %d are", done, got.Resumed)
	}
	wantReport(t, got, consumer.ImportReport{Rows: killRows, Added: killRows, Resumed: got.Resumed})
	src := killed()
	for i := range killRows {
		e, err := src.Next()
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 && n.find(t, e.Key) == nil {
			t.Errorf("row %d is lost", i)
		}
	}
}
