package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/secretstore"
)

// masters are the boxes that seal what the store must not show.
type masters struct {
	signing *seal.Box // private signing keys; nil on a node without the issue door
	data    *seal.Box // secrets that must be read again
}

// keyReader finds master keys where the configuration says.
type keyReader struct {
	secrets *secretstore.Resolver
	environ map[string]string
	stdin   *bufio.Reader
}

// sealed tells which master keys have sealed what is in the store. Without the same
// ones it cannot be opened again.
type sealed struct{ signing, data bool }

// whatIsSealed looks into the store.
func whatIsSealed(ctx context.Context, store store) (s sealed, err error) {
	keys, err := store.Keys(ctx)
	if err != nil {
		return s, err
	}
	apps, err := store.Apps(ctx)
	if err != nil {
		return s, err
	}
	credentials, _, err := store.Credentials(ctx, "", consumer.Page{Size: 1})
	if err != nil {
		return s, err
	}
	s.signing = len(keys) > 0
	if s.data, err = store.HasSecrets(ctx); err != nil {
		return s, err
	}
	talks, err := store.HasConversations(ctx) // whose contexts are sealed
	if err != nil {
		return s, err
	}
	s.data = s.data || talks || len(credentials) > 0
	for _, a := range apps {
		s.data = s.data || slices.ContainsFunc(a.Secrets, func(x app.Secret) bool { return x.Sealed != "" })
	}
	return s, nil
}

func newKeyReader(secrets *secretstore.Resolver, environ []string, stdin *bufio.Reader) *keyReader {
	r := &keyReader{secrets: secrets, environ: map[string]string{}, stdin: stdin}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		r.environ[name] = value
	}
	return r
}

// open reads the master keys that this node needs. The signing key is not even read
// where nothing is issued. A file that is not there is made, unless its key is used or
// other nodes may make another one.
func (r *keyReader) open(ctx context.Context, c *config.Config, used sealed) (m masters, err error) {
	if slices.Contains(c.Doors, config.Issue) {
		if m.signing, err = r.box(ctx, "signing", c.MasterKeys.Signing, used.signing, shared(c)); err != nil {
			return masters{}, err
		}
	}
	m.data, err = r.box(ctx, "data", c.MasterKeys.Data, used.data, shared(c))
	return m, err
}

func (r *keyReader) box(ctx context.Context, name, source string, used, shared bool) (*seal.Box, error) {
	text, err := r.read(ctx, source, used, shared)
	if err != nil {
		return nil, fmt.Errorf("read master_keys.%s: %w", name, err)
	}
	key, err := parseMaster(name, text)
	if err != nil {
		return nil, err
	}
	return seal.NewBox(key)
}

func (r *keyReader) read(ctx context.Context, source string, used, shared bool) (secret.Bytes, error) {
	kind, rest, _ := strings.Cut(source, ":")
	switch kind {
	case "file":
		if !used && !shared {
			return readOrMake(rest, func() string { return randomText(keyBytes) })
		}
		text, err := readPrivate(rest)
		switch {
		case !errors.Is(err, fs.ErrNotExist):
		case !used:
			err = fault.Newf(fault.Invalid, "%s is missing, and nodes that share a store share its master keys: "+
				"make it once with openssl rand -base64 32, and give it to all of them", rest)
		default:
			err = fault.Newf(fault.Invalid, "%s is missing, and what it sealed in the store cannot be opened without it: put it back", rest)
		}
		return text, err
	case "env":
		value, ok := r.environ[rest]
		if !ok {
			return secret.Bytes{}, fault.Newf(fault.Invalid, "environment variable %s is not set", rest)
		}
		return secret.FromString(value), nil
	case "stdin":
		line, err := r.stdin.ReadString('\n') // one line a key, signing first
		if err != nil && line == "" {
			return secret.Bytes{}, fault.New(fault.Invalid, "standard input has no line for it")
		}
		return secret.FromString(line), nil
	default:
		return r.secrets.Value(ctx, source)
	}
}
