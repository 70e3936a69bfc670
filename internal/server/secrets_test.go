package server

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/secret"
)

// found is the text of a secret, or of the error.
func found(ctx context.Context, core *Core, ref string) string {
	v, err := core.Secrets.Resolve(ctx, ref)
	if err != nil {
		return err.Error()
	}
	return string(v.Reveal())
}

// A node that has a value in memory sees the next one that another node puts into the
// built-in vault, long before it would look by itself.
func TestSecretsOfAnotherNode(t *testing.T) {
	t.Parallel()
	const ref = "srn:vault::default:secret:key"
	dir := t.TempDir()
	put := func(value string) {
		t.Helper()
		run(t, load(t, dir, ""), func(ctx context.Context, other *Core) error {
			_, err := other.Safe.Put(ctx, "key", secret.Plain, secret.FromString(value))
			return err
		})
	}
	put("v1")
	serve(t, load(t, dir, ""), func(core *Core, base []string) {
		if got := found(t.Context(), core, ref); got != "v1" {
			t.Fatal(got)
		}
		put("v2")
		waitFor(t, "the new value", func() bool { return found(t.Context(), core, ref) == "v2" })
		r, err := http.Get(base[len(base)-1] + "/metrics") //nolint:noctx // of a test
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(text), `carnet_secrets_resolve_total{provider="builtin",result="ok"}`) {
			t.Errorf("the looks are not counted: %v", err)
		}
	})
}

func TestReloadLooksForSecretsAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "secrets", "default", "key")
	write := func(value string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, dir, "")
	run(t, c, func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{Reload: func() (*config.Config, error) { return c, nil }})
		if err != nil {
			return err
		}
		const ref = "srn:vault::default:secret:key"
		write("v1")
		if got := found(ctx, core, ref); got != "v1" {
			t.Error(got)
		}
		write("v2")
		if got := found(ctx, core, ref); got != "v1" {
			t.Errorf("%q, want what is in memory", got)
		}
		if err := s.reload.Reload(ctx); err != nil {
			return err
		}
		if got := found(ctx, core, ref); got != "v2" {
			t.Errorf("%q after a reload", got)
		}
		return s.close()
	})
}

// The built-in vault is sealed under a master key, and so cannot have one.
func TestMasterKeyInTheBuiltInVault(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), "secrets: {providers: [builtin]}\nmaster_keys: {data: 'srn:vault::default:secret:data'}\n")
	if _, err := Open(t.Context(), Options{Config: c}); err == nil || !strings.Contains(err.Error(), "is nowhere") {
		t.Errorf("Open() error = %v", err)
	}
}
