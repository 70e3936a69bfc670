package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// The default times of a service, and what its connections may hold.
const (
	connectTimeout  = 5 * time.Second
	readTimeout     = 60 * time.Second
	writeTimeout    = 60 * time.Second
	idleTimeout     = 90 * time.Second
	idleConnections = 256 // to one target; more are closed when they fall idle
	maxAnswerHeader = 256 << 10
)

// connections is all that a service's connections depend on, so that they outlive a
// reload that changes other things.
type connections struct {
	connect, read, write time.Duration
	unverified           bool
	authorities          string // PEM
}

func (s *Service) connections() connections {
	return connections{
		connect: cmp.Or(s.ConnectTimeout, connectTimeout), read: cmp.Or(s.ReadTimeout, readTimeout),
		write: cmp.Or(s.WriteTimeout, writeTimeout), unverified: s.TLSVerify != nil && !*s.TLSVerify,
		authorities: s.CACertificates,
	}
}

// transport takes no proxy from the environment and passes bodies as they are.
func (c connections) transport() *http.Transport {
	trust := &tls.Config{InsecureSkipVerify: c.unverified, MinVersion: tls.VersionTLS12} //nolint:gosec // the operator's word: tls_verify
	if c.authorities != "" {
		trust.RootCAs = x509.NewCertPool()
		trust.RootCAs.AppendCertsFromPEM([]byte(c.authorities))
	}
	dialer := net.Dialer{Timeout: c.connect}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &timedConn{conn, c.write}, nil
		},
		TLSClientConfig:        trust,
		TLSHandshakeTimeout:    c.connect,
		ResponseHeaderTimeout:  c.read,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    idleConnections,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// timedConn ends a connection whose peer takes nothing for as long as write.
type timedConn struct {
	net.Conn
	write time.Duration
}

func (c *timedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
