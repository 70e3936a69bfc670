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
)

// files finds secrets in {dir}/{organization}/{name}. Nothing outside dir is ever
// read, whatever links there are; the relative ones of a Kubernetes mount work.
type files struct {
	dir    string
	log    *slog.Logger
	warned *sync.Map // paths whose permissions were complained about
}

func (f files) find(ctx context.Context, n SRN) (value []byte, found bool, err error) {
	if f.dir == "" {
		return nil, false, nil
	}
	value, err = f.read(ctx, path(n))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fault.Wrap(fault.Unavailable, n.String()+" cannot be read from its file", err)
	}
	return value, true, nil
}

// read reads a little more than a secret may have, so that the caller sees excess.
func (f files) read(ctx context.Context, name string) ([]byte, error) {
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

// path is where the files hold n, relative to their directory. Both parts are
// free of separators and dots: see segment.
func path(n SRN) string { return n.Organization + "/" + n.Resource }
