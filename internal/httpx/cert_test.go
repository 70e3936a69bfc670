package httpx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pemPair makes a self-signed certificate for 127.0.0.1 with the given serial number.
func pemPair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		DNSNames:     []string{"localhost"},
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func serial(t *testing.T, c *Cert) int64 {
	t.Helper()
	pair, err := c.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.Int64()
}

func TestCertFollowsItsFiles(t *testing.T) {
	t.Parallel()
	certFile, keyFile := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	cert1, key1 := pemPair(t, 1)
	cert2, key2 := pemPair(t, 2)
	write(t, certFile, cert1)
	write(t, keyFile, key1)
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		c, err := LoadCert(certFile, keyFile, slog.New(slog.NewTextHandler(&logged, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		poll := func() { // time is fake here: this waits for one look at the files
			timer := time.NewTimer(certPoll + time.Second)
			<-timer.C
			synctest.Wait()
		}

		write(t, certFile, cert2) // half of a renewal
		poll()
		poll()
		if got := serial(t, c); got != 1 {
			t.Errorf("half renewed: serial %d, want the old pair", got)
		}
		if n := strings.Count(logged.String(), "not reloaded"); n != 1 {
			t.Errorf("a bad pair was logged %d times, want once:\n%s", n, &logged)
		}
		write(t, keyFile, key2)
		poll()
		if got := serial(t, c); got != 2 {
			t.Errorf("renewed: serial %d, want 2", got)
		}
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		poll()
		poll()
		if got := serial(t, c); got != 2 {
			t.Errorf("file gone: serial %d, want 2", got)
		}
		if n := strings.Count(logged.String(), "not reloaded"); n != 2 {
			t.Errorf("a missing file was logged %d times, want once:\n%s", n-1, &logged)
		}
		write(t, keyFile, key2)
		poll()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v after a stop, want nil", err)
		}
	})
}

func TestLoadCertRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, _ := pemPair(t, 1)
	_, otherKey := pemPair(t, 2)
	file := func(name string, data []byte) string {
		write(t, filepath.Join(dir, name), data)
		return filepath.Join(dir, name)
	}
	good, mismatch, rubbish := file("cert", cert), file("key", otherKey), file("rubbish", []byte("x"))
	for name, tc := range map[string]struct{ cert, key string }{
		"no certificate": {filepath.Join(dir, "none"), mismatch},
		"no key":         {good, filepath.Join(dir, "none")},
		"mismatch":       {good, mismatch},
		"rubbish":        {rubbish, rubbish},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := LoadCert(tc.cert, tc.key, slog.New(slog.DiscardHandler)); err == nil {
				t.Error("LoadCert() error = nil")
			}
		})
	}
}
