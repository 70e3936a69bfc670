// Package egress makes the HTTP clients with which Carnet calls the servers of others.
// They go where a [Guard] lets them, and nowhere else: a redirect is an answer, no
// proxy is taken from the environment, no cookie is kept, nothing is unpacked.
package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Config is of a client for one host. It requires Host and Connect.
type Config struct {
	Host    string        // without port
	Guard   guard         // where the host may lead, asked for each connection; nil: a zero [Guard]
	Connect time.Duration // for the connection, and again for its TLS
	Conns   int           // kept when they are idle; default 32
	Header  int64         // bytes of an answer's header; default 32 KiB
	Roots   *x509.CertPool
	// Certificate is shown to servers that ask for one; nil: none is.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
}

// guard tells whether a connection may be made: a [Guard], or what finds the one in force.
type guard interface {
	Check(host string, to netip.AddrPort) error
}

// New makes the client. Close its idle connections when it is not needed any more. It
// sets no time for a whole call: contexts do.
func New(c Config) *http.Client {
	if c.Conns == 0 {
		c.Conns = 32
	}
	if c.Header == 0 {
		c.Header = 32 << 10
	}
	if c.Guard == nil {
		c.Guard = Guard{}
	}
	d := &net.Dialer{Timeout: c.Connect, Control: control(c.Guard, c.Host)}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSHandshakeTimeout: c.Connect, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: c.Conns, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
			MaxResponseHeaderBytes: c.Header,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots, GetClientCertificate: c.Certificate},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// WithoutURL is the cause of a client's error: the error itself shows the URL, in which
// there may be a secret.
func WithoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// ErrTooLarge is of a body beyond what [Limit] lets through.
var ErrTooLarge = errors.New("body too large")

// Limit is r up to n bytes. Reading on fails with [ErrTooLarge] if there is more.
func Limit(r io.Reader, n int) io.Reader { return &limited{r, n} }

type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left == 0 {
		var one [1]byte
		if n, err := l.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// RetryAfter is when the server that gave an answer may be asked again, by its header, in
// seconds or as a date (RFC 9110 section 10.2.3); zero if that is neither.
func RetryAfter(answer http.Header, now time.Time) time.Duration {
	text := answer.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// Done closes the body of an answer that nobody reads on. If no more than n bytes are
// left, its connection can be used again.
func Done(body io.ReadCloser, n int64) {
	_, _ = io.CopyN(io.Discard, body, n)
	_ = body.Close()
}
