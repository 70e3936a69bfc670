package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

// childPath, childWork and childName make the test binary the process that gets killed.
const (
	childPath = "SQLITE_TEST_CHILD_PATH"
	childWork = "SQLITE_TEST_CHILD_WORK"
	childName = "SQLITE_TEST_CHILD_NAME"
)

// works are what it may do. Each prints a line for what has been acknowledged.
var works = map[string]func(path, name string) error{
	"write": writeUntilKilled,
	"chat":  chatUntilKilled,
}

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := works[os.Getenv(childWork)](path, os.Getenv(childName)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes from several goroutines and prints the name of each row
// once it is acknowledged.
func writeUntilKilled(path, name string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	ended := make(chan error, 9)
	go func() { ended <- s.Run(ctx) }()
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				row := fmt.Sprintf("%s-%d-%d", name, g, i)
				var err error
				if i%2 == 0 {
					err = s.AddUser(ctx, user.User{ID: user.ID(row), Name: row})
				} else {
					err = s.AddFamily(ctx, token.Family{ID: token.FamilyID(row), Expires: time.Unix(1, 0)})
				}
				if err != nil {
					ended <- err
					return
				}
				if _, err := fmt.Println(row); err != nil {
					return // the parent has gone
				}
			}
		}()
	}
	return <-ended
}

// TestKill kills a writing process at random moments, again and again on one file,
// while this process reads and writes it too.
func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	here := start(t, path)
	var acked []string
	for round := range 6 {
		name := fmt.Sprint("r", round)
		acked = append(acked, killAfter(t, path, "write", name, 1+rand.IntN(400))...)
		if err := here.AddUser(t.Context(), user.User{ID: user.ID(name), Name: name}); err != nil {
			t.Fatalf("write after kill %d: %v", round, err)
		}
	}
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	after := start(t, path)
	users, err := after.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, u := range users {
		there[u.Name] = true
	}
	for _, row := range acked {
		_, err := after.Family(t.Context(), token.FamilyID(row))
		if err != nil && !there[row] {
			t.Errorf("%s was acknowledged and is gone: %v", row, err)
		}
	}
	version, err := after.Version(t.Context())
	if err != nil || version != int64(len(users)) {
		t.Errorf("version = %d, %v after %d changes", version, err, len(users))
	}
	t.Logf("%d writes were acknowledged, %d users are there", len(acked), len(users))
}

// killAfter returns all lines that the child printed before it died, at least n.
func killAfter(t *testing.T, path, work, name string, n int) (acked []string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childPath+"="+path, childWork+"="+work, childName+"="+name)
	var complaints strings.Builder
	child.Stderr = &complaints
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // what is left without a line's end was not acknowledged
		}
		if err != nil {
			t.Fatal(err)
		}
		acked = append(acked, strings.TrimSuffix(line, "\n"))
		if len(acked) >= n {
			once.Do(func() { err = child.Process.Kill() })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(acked) < n {
		t.Fatalf("the child ended by itself after %d of %d lines: %v %s", len(acked), n, err, complaints.String())
	}
	return acked
}
