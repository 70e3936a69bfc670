package secretstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// files finds secrets in {dir}/{organization}/{name}, or with the ending of their type.
// Nothing outside dir is ever read, whatever links there are; the relative ones of a
// Kubernetes mount work. Files have no versions.
type files struct {
	dir    string
	log    *slog.Logger
	warned sync.Map // paths whose permissions were complained about
}

// endings are what a file of a type may end in.
var endings = map[string]string{secret.Document: ".json", secret.Certificate: ".pem"}

func (f *files) find(ctx context.Context, n secret.SRN) (v value, found bool, err error) {
	if f.dir == "" || n.Qualifier != "" {
		return value{}, false, nil
	}
	text, err := f.read(ctx, path(n)+endings[n.Type])
	if errors.Is(err, fs.ErrNotExist) && endings[n.Type] != "" {
		text, err = f.read(ctx, path(n))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return value{}, false, nil
	case err != nil:
		return value{}, false, fault.Wrap(fault.Unavailable, n.String()+" cannot be read from its file", err)
	}
	return value{text: text}, true, nil
}

func (f *files) place(n secret.SRN) string { return "among the secret files as " + path(n) }

// read reads a little more than a secret may have, so that the caller sees excess.
func (f *files) read(ctx context.Context, name string) ([]byte, error) {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name) // before the open, which would wait for ever on a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if _, again := f.warned.Load(name); info.Mode().Perm()&0o077 != 0 && !again {
		f.warned.Store(name, true)
		f.log.LogAttrs(ctx, slog.LevelWarn, "secret file can be read by others: chmod 600",
			slog.String("dir", f.dir), slog.String("file", name), slog.String("mode", info.Mode().Perm().String()))
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxValue+int64(len("\r\n"))+1))
}

// path is where the files hold n, relative to their directory. Both parts are free of
// separators and dots (see [secret.ParseSRN]).
func path(n secret.SRN) string { return n.Organization + "/" + n.Resource }
