package server

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/secretstore"
)

func TestReadOrMakeGivesAllTheSame(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "key")
	got := make([]secret.Bytes, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = readOrMake(path, func() string { return randomText(keyBytes) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range got {
		if s.Len() != 43 || !s.Equal(got[0]) {
			t.Fatal("two that started at once have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: want 0600", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, want 1: %v", len(left), err)
	}
}

func TestReadPrivateRefusesWhatOthersMayRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readPrivate(path); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("error = %v, want one that says chmod 600", err)
	}
}

func TestReadPrivateRefusesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readOrMake(path, func() string { return "made" }); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("error = %v, want one that says that the file is empty", err)
	}
}

func TestMasterKeySources(t *testing.T) {
	t.Parallel()
	key := randomText(keyBytes)
	other := randomText(keyBytes)
	dir := t.TempDir()
	if err := writePrivate(filepath.Join(dir, "default", "master"), key); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		signing, data string
		stdin         string
		bad           string // what the error must say; "" if none
	}{
		"files that are made":   {"file:" + filepath.Join(dir, "a"), "file:" + filepath.Join(dir, "b"), "", ""},
		"environment":           {"env:MASTER", "env:MASTER", "", ""},
		"standard input":        {"stdin", "stdin", key + "\n" + other + "\n", ""},
		"SRN":                   {"srn:vault::default:secret:master", "env:MASTER", "", ""},
		"variable not set":      {"env:NOSUCH", "env:MASTER", "", "master_keys.signing"},
		"standard input, short": {"stdin", "stdin", key + "\n", "master_keys.data"},
		"too short":             {"env:SHORT", "env:MASTER", "", "32 bytes in base64"},
		"SRN that is not there": {"srn:vault::default:secret:nosuch", "env:MASTER", "", "nosuch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := []string{"MASTER=" + key, "SHORT=" + key[:20]}
			c := config.Default()
			c.MasterKeys = config.MasterKeys{Signing: tc.signing, Data: tc.data}
			resolver, err := secretstore.New(secretstore.Config{Organization: "default", Dir: dir, Environ: environ})
			if err != nil {
				t.Fatal(err)
			}
			m, err := newKeyReader(resolver, environ, bufio.NewReader(strings.NewReader(tc.stdin))).open(t.Context(), c, sealed{})
			switch {
			case tc.bad == "" && (err != nil || m.signing == nil || m.data == nil):
				t.Errorf("error = %v, want both keys", err)
			case tc.bad != "" && (err == nil || !strings.Contains(err.Error(), tc.bad)):
				t.Errorf("error = %v, want one that says %q", err, tc.bad)
			case err != nil && strings.Contains(err.Error(), key[:20]):
				t.Error("the error shows the key")
			}
		})
	}
}

// TestSharedMasterKeysAreNotMade: a node that made its own could open nothing of the others.
func TestSharedMasterKeysAreNotMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := config.Default()
	c.Store = "postgres://db.example/carnet"
	c.MasterKeys = config.MasterKeys{Signing: "file:" + filepath.Join(dir, "signing"), Data: "file:" + filepath.Join(dir, "data")}
	_, err := newKeyReader(nil, nil, nil).open(t.Context(), c, sealed{})
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "share its master keys") {
		t.Errorf("error = %v, want one that says how to make them", err)
	}
	if made, _ := os.ReadDir(dir); len(made) > 0 {
		t.Errorf("%s was made", made[0].Name())
	}
	for _, name := range []string{"signing", "data"} {
		if err := writePrivate(filepath.Join(dir, name), randomText(keyBytes)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := newKeyReader(nil, nil, nil).open(t.Context(), c, sealed{}); err != nil {
		t.Errorf("keys that were given: %v", err)
	}
}

func TestAdmitNodeReadsNoSigningKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := config.Default()
	c.Doors = []string{config.Admit}
	c.MasterKeys = config.MasterKeys{Signing: "file:" + filepath.Join(dir, "signing"), Data: "file:" + filepath.Join(dir, "data")}
	resolver, err := secretstore.New(secretstore.Config{Organization: "default"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := newKeyReader(resolver, nil, nil).open(t.Context(), c, sealed{})
	if err != nil || m.signing != nil || m.data == nil {
		t.Fatalf("open() = %+v, %v: want the data key alone", m, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "signing")); !os.IsNotExist(err) {
		t.Errorf("a signing key was made: %v", err)
	}
}
