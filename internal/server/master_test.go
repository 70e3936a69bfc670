package server

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
)

// TestLostMasterKeys takes key files away from a store that was in use: none is made
// anew where it would not open what the old one sealed.
func TestLostMasterKeys(t *testing.T) {
	t.Parallel()
	both := []string{"signing.key", "data.key"}
	for name, tc := range map[string]struct {
		doors  string // of the first start
		app    bool   // one whose secret is sealed
		remove []string
		lost   string // the file that the error names; "" if a new one will do
	}{
		"nothing is lost":            {"[issue, admit]", true, nil, ""},
		"signing":                    {"[issue, admit]", true, both[:1], "signing.key"},
		"data":                       {"[issue, admit]", true, both[1:], "data.key"},
		"both":                       {"[issue, admit]", true, both, "signing.key"},
		"data, that sealed nothing":  {"[issue, admit]", false, both[1:], ""},
		"a node without keys before": {"[admit]", false, nil, ""},
		"all, store included":        {"[issue, admit]", true, append([]string{"carnet.db", "carnet.db-wal", "carnet.db-shm"}, both...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			run(t, load(t, dir, "doors: "+tc.doors), func(ctx context.Context, core *Core) (err error) {
				if tc.app {
					_, _, err = core.Apps.Add(ctx, app.Registration{Name: "shop"})
				}
				return err
			})
			for _, file := range tc.remove {
				if err := os.Remove(filepath.Join(dir, file)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			core, err := Open(t.Context(), Options{Config: load(t, dir, ""), Log: slog.New(slog.DiscardHandler)})
			if tc.lost == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := core.Run(t.Context(), func(context.Context) error { return nil }); err != nil {
					t.Error(err)
				}
				return
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), filepath.Join(dir, tc.lost)+" is missing") {
				t.Errorf("error = %v, want one that names %s", err, tc.lost)
			}
			if _, err := os.Stat(filepath.Join(dir, tc.lost)); !os.IsNotExist(err) {
				t.Errorf("%s was made anew: %v", tc.lost, err)
			}
		})
	}
}

// TestMasterKeysTakeTheirLines leaves to others what stands behind them.
func TestMasterKeysTakeTheirLines(t *testing.T) {
	t.Parallel()
	in := bufio.NewReader(strings.NewReader(randomText(keyBytes) + "\n" + randomText(keyBytes) + "\nhunter2\n"))
	c := config.Default()
	c.MasterKeys = config.MasterKeys{Signing: "stdin", Data: "stdin"}
	if _, err := newKeyReader(nil, nil, in).open(t.Context(), c, sealed{}); err != nil {
		t.Fatal(err)
	}
	if rest, err := in.ReadString('\n'); err != nil || rest != "hunter2\n" {
		t.Errorf("the rest of standard input is %q, %v", rest, err)
	}
}
