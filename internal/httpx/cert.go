package httpx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certPoll is how soon a renewed certificate is in use.
const certPoll = 5 * time.Second

// Cert is a certificate and its key, read from files that may be replaced while
// it serves. The contents are compared, not the times: Kubernetes swaps links.
type Cert struct {
	certFile, keyFile string
	log               *slog.Logger
	pair              atomic.Pointer[tls.Certificate]
	seen              [32]byte // SHA-256 of what both files held last; Run's alone
}

// LoadCert reads a PEM certificate chain and its key.
func LoadCert(certFile, keyFile string, log *slog.Logger) (*Cert, error) {
	c := &Cert{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// GetCertificate is for [tls.Config]. Safe for concurrent use.
func (c *Cert) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.pair.Load(), nil
}

// Run looks at the files every few seconds until ctx ends. A pair that does not
// load or does not match (half of a renewal) leaves the old one in use; it is
// logged once.
func (c *Cert) Run(ctx context.Context) error {
	tick := time.NewTicker(certPoll)
	defer tick.Stop()
	unreadable := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		changed, err := c.reload()
		switch {
		case err != nil && (changed || !unreadable):
			c.log.LogAttrs(ctx, slog.LevelError, "certificate not reloaded, the old one stays", slog.Any("err", err))
		case err == nil && changed:
			c.log.LogAttrs(ctx, slog.LevelInfo, "certificate reloaded", slog.String("file", c.certFile))
		}
		unreadable = err != nil
	}
}

// reload tells whether the content differs from what was seen before.
func (c *Cert) reload() (changed bool, err error) {
	cert, certErr := os.ReadFile(c.certFile)
	key, keyErr := os.ReadFile(c.keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return false, fmt.Errorf("read certificate: %w", err)
	}
	content := sha256.Sum256(bytes.Join([][]byte{cert, key}, []byte{0}))
	if content == c.seen {
		return false, nil
	}
	c.seen = content
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair.Store(&pair)
	return true, nil
}
