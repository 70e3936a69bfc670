package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/config"
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

func newKeyReader(secrets *secretstore.Resolver, environ []string, stdin io.Reader) *keyReader {
	r := &keyReader{secrets: secrets, environ: map[string]string{}, stdin: bufio.NewReader(stdin)}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		r.environ[name] = value
	}
	return r
}

// open reads the master keys that this node needs. The signing key is not even read
// where nothing is issued.
func (r *keyReader) open(ctx context.Context, c *config.Config) (m masters, err error) {
	if slices.Contains(c.Doors, config.Issue) {
		if m.signing, err = r.box(ctx, "signing", c.MasterKeys.Signing); err != nil {
			return masters{}, err
		}
	}
	m.data, err = r.box(ctx, "data", c.MasterKeys.Data)
	return m, err
}

func (r *keyReader) box(ctx context.Context, name, source string) (*seal.Box, error) {
	text, err := r.read(ctx, name, source)
	if err != nil {
		return nil, fmt.Errorf("read master_keys.%s: %w", name, err)
	}
	key, err := parseMaster(name, text)
	if err != nil {
		return nil, err
	}
	return seal.NewBox(key)
}

func (r *keyReader) read(ctx context.Context, name, source string) (secret.Bytes, error) {
	kind, rest, _ := strings.Cut(source, ":")
	switch kind {
	case "file":
		return readOrMake(rest, func() string { return randomText(keyBytes) })
	case "env":
		value, ok := r.environ[rest]
		if !ok {
			return secret.Bytes{}, fault.BadField("master_keys."+name, "environment variable "+rest+" is not set")
		}
		return secret.FromString(value), nil
	case "stdin":
		line, err := r.stdin.ReadString('\n') // one line a key, signing first
		if err != nil && line == "" {
			return secret.Bytes{}, fault.BadField("master_keys."+name, "standard input has no line for it")
		}
		return secret.FromString(line), nil
	default:
		return r.secrets.Value(ctx, source)
	}
}
