package server

import (
	"context"
	"net/http"
	"slices"

	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/secretstore"
)

// secrets finds secrets where the configuration says. Without a safe the built-in vault
// is left out.
func (c *Core) secrets(environ []string, safe *secretstore.Safe) (*secretstore.Resolver, error) {
	s := &c.Config.Secrets
	providers := slices.Clone(s.Providers)
	if safe == nil {
		providers = slices.DeleteFunc(providers, func(p string) bool { return p == secretstore.Builtin })
	}
	return secretstore.New(secretstore.Config{
		Organization: c.Config.Organization, Providers: providers, Dir: s.Dir, Environ: environ,
		Vault: s.Vault.Store(), Safe: safe, Log: c.log,
	})
}

// headers are those that the configuration wants in calls, with what its secrets are now.
func (c *Core) headers(ctx context.Context, of map[string]gateway.Secret) (http.Header, error) {
	h := http.Header{}
	for name, value := range of {
		v, err := c.Secrets.Value(ctx, string(value.Reveal()))
		if err != nil {
			return nil, err
		}
		h.Set(name, string(v.Reveal()))
	}
	return h, nil
}

// keyReader finds master keys. The built-in vault has none: it is sealed under one.
func (c *Core) keyReader(o Options) (*keyReader, error) {
	secrets, err := c.secrets(o.Environ, nil)
	if err != nil {
		return nil, err
	}
	return newKeyReader(secrets, o.Environ, o.Stdin), nil
}
