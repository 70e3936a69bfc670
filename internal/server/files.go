package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// keyBytes is the length of a master key and of the admin secret.
const keyBytes = 32

// readOrMake returns the content of a secret file, and makes it with make's value if
// it is not there. Of several processes that start at once, one makes it.
func readOrMake(path string, value func() string) (secret.Bytes, error) {
	text, err := readPrivate(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if err := writePrivate(path, value()); err != nil && !errors.Is(err, fs.ErrExist) {
		return secret.Bytes{}, err
	}
	return readPrivate(path)
}

// readPrivate reads a file that nobody else may read. An empty one is no secret: it
// is what a full disk or a touch(1) leaves, and whoever shows nothing would know it.
func readPrivate(path string) (secret.Bytes, error) {
	info, err := os.Stat(path)
	if err != nil {
		return secret.Bytes{}, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return secret.Bytes{}, fault.Newf(fault.Invalid, "%s has mode %#o: others may read it; chmod 600 it", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return secret.Bytes{}, err
	}
	value := strings.TrimSpace(string(text))
	if value == "" {
		return secret.Bytes{}, fault.Newf(fault.Invalid, "%s is empty: write a secret to it, or delete it to have one made", path)
	}
	return secret.FromString(value), nil
}

// writePrivate makes a file of mode 0600 that is there whole or not at all. It does
// not replace one.
func writePrivate(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = io.WriteString(f, text+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // fails if path is there
}

// randomText is n random bytes in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseMaster decodes a master key: 32 bytes in base64, either alphabet.
func parseMaster(name string, text secret.Bytes) (secret.Bytes, error) {
	s := strings.TrimRight(strings.TrimSpace(string(text.Reveal())), "=")
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
		if b, err := encoding.DecodeString(s); err == nil && len(b) == keyBytes {
			return secret.New(b), nil
		}
	}
	return secret.Bytes{}, fault.BadField("master_keys."+name, fmt.Sprintf("is not %d bytes in base64; make one with: openssl rand -base64 32", keyBytes))
}
