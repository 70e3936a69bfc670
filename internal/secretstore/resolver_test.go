package secretstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// place writes a secret file of the organization acme.
func place(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "acme"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "acme", name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newResolver(t *testing.T, c Config) *Resolver {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	place(t, dir, "plain", "s3cret-file")
	place(t, dir, "line", "s3cret-file\n")
	place(t, dir, "lines", "s3cret-file\n\n")
	place(t, dir, "dos", "s3cret-file\r\n")
	place(t, dir, "both", "s3cret-file")
	place(t, dir, "empty", "\n")
	place(t, dir, "full", strings.Repeat("x", maxValue)+"\n")
	place(t, dir, "over", strings.Repeat("x", maxValue+1))
	place(t, dir, "login.json", `{"username":"ann","password":"s3cret"}`+"\n")
	place(t, dir, "login.pem", "s3cret")
	place(t, dir, "bare", `{"a":"s3cret"}`)
	if err := os.WriteFile(outside, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.Symlink(outside, filepath.Join(dir, "acme", "absolute")),
		os.Symlink("../../outside", filepath.Join(dir, "acme", "escape")),
		os.Mkdir(filepath.Join(dir, "acme", "folder"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "acme", "pipe"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	r := newResolver(t, Config{Organization: "acme", Dir: dir, Log: slog.New(slog.DiscardHandler), Environ: []string{
		"CARNET_SECRET_ACME__BOTH=s3cret-env", "CARNET_SECRET_ACME__MY_APP=s3cret=env\n", "CARNET_SECRET_ACME__NONE=", `CARNET_SECRET_ACME__VAR={"a":"s3cret"}`,
		"CARNET_SECRET_OTHER__PLAIN=s3cret", "malformed",
	}})
	for name, tc := range map[string]struct {
		ref  string
		want string // the value, or a part of the error if it starts with "!"
	}{
		"file":                   {"srn:vault::acme:secret:plain", "s3cret-file"},
		"file, one line end":     {"srn:vault::acme:secret:line", "s3cret-file"},
		"file, two line ends":    {"srn:vault::acme:secret:lines", "s3cret-file\n"},
		"file, DOS line end":     {"srn:vault::acme:secret:dos", "s3cret-file"},
		"file, as big as may be": {"srn:vault::acme:secret:full", strings.Repeat("x", maxValue)},
		"name in capitals":       {"srn:vault:global:acme:secret:PLAIN", "s3cret-file"},
		"environment":            {"srn:vault::acme:secret:my-app", "s3cret=env"},
		"environment first":      {"srn:vault::acme:secret:both", "s3cret-env"},
		"version of a variable":  {"srn:vault::acme:secret:my-app/1", "!is neither in the environment"},
		"nowhere":                {"srn:vault::acme:secret:no-such", "!is neither in the environment as CARNET_SECRET_ACME__NO_SUCH nor among the secret files as acme/no-such"},
		"other organization":     {"srn:vault::other:secret:plain", `!names the organization "other"; it must be "acme"`},
		"other letter case":      {"srn:vault::ACME:secret:plain", `!it must be "acme"`},
		"other service":          {"srn:baas::acme:secret:plain", "!is not a secret's name"},
		"other type":             {"srn:vault::acme:apikey:plain", "!is not a secret's name"},
		"not a certificate":      {"srn:vault::acme:certificate:plain", "!must be PEM"},
		"document":               {"srn:vault::acme:secretdoc:login", `{"username":"ann","password":"s3cret"}`},
		"field":                  {"srn:vault::acme:secretdoc:login#/password", "s3cret"},
		"no such field":          {"srn:vault::acme:secretdoc:login#/token", "!no such field"},
		"document, no ending":    {"srn:vault::acme:secretdoc:bare#/a", "s3cret"},
		"document in a variable": {"srn:vault::acme:secretdoc:var#/a", "s3cret"},
		"text with an ending":    {"srn:vault::acme:secret:login", "!is neither in the environment"},
		"not a document":         {"srn:vault::acme:secretdoc:plain", "!must be a JSON object"},
		"other region":           {"srn:vault:eu:acme:secret:plain", "!is not a secret's name"},
		"version":                {"srn:vault::acme:secret:plain/2", "!is neither in the environment"},
		"malformed":              {"srn:vault::acme:secret:", "!the resource of an SRN"},
		"empty file":             {"srn:vault::acme:secret:empty", "!is empty"},
		"empty variable":         {"srn:vault::acme:secret:none", "!is empty"},
		"too big":                {"srn:vault::acme:secret:over", "!more than 65536 bytes"},
		"absolute link":          {"srn:vault::acme:secret:absolute", "!cannot be read"},
		"link outwards":          {"srn:vault::acme:secret:escape", "!cannot be read"},
		"directory":              {"srn:vault::acme:secret:folder", "!cannot be read"},
		"pipe":                   {"srn:vault::acme:secret:pipe", "!cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Value(t.Context(), tc.ref)
			part, refused := strings.CutPrefix(tc.want, "!")
			switch {
			case refused && (err == nil || !strings.Contains(err.Error(), part)):
				t.Errorf("Value() error = %v, want one with %q", err, part)
			case refused && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("Value() error %v shows a secret", err)
			case !refused && (err != nil || string(got.Reveal()) != tc.want):
				t.Errorf("Value() = %.40q, %v, want %.40q", got.Reveal(), err, tc.want)
			}
		})
	}
}

func TestValueTakesLiterals(t *testing.T) {
	t.Parallel()
	r := newResolver(t, Config{Organization: "acme"})
	for _, s := range []string{"", "hunter2", "SRN:vault", " srn:vault::acme:secret:x"} {
		got, err := r.Value(t.Context(), s)
		if err != nil || string(got.Reveal()) != s {
			t.Errorf("Value(%q) = %q, %v, want the string itself", s, got.Reveal(), err)
		}
	}
	if _, err := r.Value(t.Context(), "srn:hunter2"); err == nil {
		t.Error("a string that starts like an SRN but is none was taken")
	}
}

func TestResolveStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newResolver(t, Config{Organization: "acme"}).Resolve(ctx, "srn:vault::acme:secret:x")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve() error = %v, want %v", err, context.Canceled)
	}
}

func TestNamesThatShareAVariable(t *testing.T) {
	t.Parallel()
	r := newResolver(t, Config{Organization: "acme", Environ: []string{"CARNET_SECRET_ACME__MY_APP=v"}})
	for range 2 { // the same name again is no collision
		if _, err := r.Resolve(t.Context(), "srn:vault::acme:secret:my_app"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Resolve(t.Context(), "srn:vault::acme:secret:my-app"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("Resolve() of the second name: error = %v, want a conflict", err)
	}
}

// A Kubernetes mount is a link to a file behind the link ..data, which is swapped.
func TestKubernetesMount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newResolver(t, Config{Organization: "acme", Dir: dir})
		place(t, dir, "token", "")
		acme := filepath.Join(dir, "acme")
		if err := errors.Join(
			os.Remove(filepath.Join(acme, "token")),
			os.Symlink("..data/token", filepath.Join(acme, "token")),
		); err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"..v1", "..v2"} {
			if err := errors.Join(
				os.Mkdir(filepath.Join(acme, version), 0o700),
				os.WriteFile(filepath.Join(acme, version, "token"), []byte(version), 0o600),
				os.Symlink(version, filepath.Join(acme, "..data_tmp")),
				os.Rename(filepath.Join(acme, "..data_tmp"), filepath.Join(acme, "..data")),
			); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * TTL)
			got, err := r.Resolve(t.Context(), "srn:vault::acme:secret:token")
			if err != nil || string(got.Reveal()) != version {
				t.Errorf("Resolve() = %q, %v, want %q", got.Reveal(), err, version)
			}
		}
	})
}

// TestVersionOfFile: a value without a version is told from others, and the same on all nodes.
func TestVersionOfFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, other := t.TempDir(), t.TempDir()
		r := newResolver(t, Config{Organization: "acme", Dir: dir})
		elsewhere := newResolver(t, Config{Organization: "acme", Dir: other, Environ: []string{"CARNET_SECRET_ACME__TOKEN=two"}})
		const ref = "srn:vault::acme:secret:token"
		look := func(r *Resolver) string {
			t.Helper()
			if _, err := r.Resolve(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			return r.Version(ref)
		}
		place(t, dir, "token", "one")
		if v := r.Version(ref); v != "" {
			t.Errorf("Version() = %q before a look", v)
		}
		one := look(r)
		place(t, dir, "token", "two")
		if v := look(r); v != one || strings.Contains(v, "one") {
			t.Errorf("Version() = %q, then %q before the next look", one, v)
		}
		time.Sleep(2 * TTL)
		two := look(r)
		if v := look(elsewhere); two == one || v != two {
			t.Errorf("Version() = %q, then %q, and %q on another node", one, two, v)
		}
		if err := os.Remove(filepath.Join(dir, "acme", "token")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * TTL)
		if _, err := r.Resolve(t.Context(), ref); err == nil || r.Version(ref) != "" {
			t.Errorf("Version() = %q of what is gone, %v", r.Version(ref), err)
		}
	})
}

func TestReadableByOthersIsToldOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place(t, dir, "open", "s3cret")
	place(t, dir, "closed", "s3cret")
	if err := os.Chmod(filepath.Join(dir, "acme", "open"), 0o640); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	r := newResolver(t, Config{Organization: "acme", Dir: dir, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	for _, name := range []string{"open", "closed", "open"} {
		if _, err := r.Resolve(t.Context(), "srn:vault::acme:secret:"+name); err != nil {
			t.Fatal(err)
		}
	}
	if got := logged.String(); strings.Count(got, "acme/open") != 1 || strings.Contains(got, "closed") || strings.Contains(got, "s3cret") {
		t.Errorf("logged %q, want one warning about acme/open", got)
	}
}

func TestResolverIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	r := newResolver(t, Config{Organization: "acme", Environ: []string{"CARNET_SECRET_ACME__A=1"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := r.Resolve(t.Context(), "srn:vault::acme:secret:a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
