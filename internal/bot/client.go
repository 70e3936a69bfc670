package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Endpoint is where a bot outside the process is called.
type Endpoint struct {
	URL     string
	Headers http.Header // of each call
	// Networks that are not public, in which the bot may be all the same. An address in
	// the URL itself, and localhost, may be called without.
	Networks []netip.Prefix
	Calls    int // at a time, for which connections are kept; default 64
}

// maxAnswer bounds the body of an answer, in bytes, streams included.
const maxAnswer = 256 << 10

// dialTimeout bounds the way to the bot, within the time of the call.
const dialTimeout = 5 * time.Second

// client calls one endpoint.
type client struct {
	url  string
	head http.Header
	http *http.Client
}

func newClient(e Endpoint) (*client, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("the bot's URL must be an http or https URL without a password")
	}
	if e.Calls == 0 {
		e.Calls = 64
	}
	d := &net.Dialer{Timeout: dialTimeout, Control: guard(u.Hostname(), e.Networks)}
	return &client{e.URL, e.Headers, &http.Client{
		Transport: &http.Transport{ // of its own: no proxy from the environment
			DialContext: d.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: e.Calls, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// guard refuses connections to addresses that are neither public nor allowed, whatever
// the name of the bot's host leads to now.
func guard(host string, allowed []netip.Prefix) func(network, address string, _ syscall.RawConn) error {
	literal, err := netip.ParseAddr(host)
	named := err == nil
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		addr := to.Addr().Unmap().WithZone("")
		switch {
		case isPublic(addr), named && addr == literal.Unmap().WithZone(""), host == "localhost" && addr.IsLoopback():
			return nil
		}
		for _, p := range allowed {
			if p.Contains(addr) {
				return nil
			}
		}
		return fmt.Errorf("the bot's host leads to %s, which is not public: list its network in networks to allow it", addr)
	}
}

// special are networks that net/netip does not tell from public ones (RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// post sends body and gives the answer, if its status is 2xx, to read. The error says
// whether another try is of use.
func (c *client) post(ctx context.Context, body []byte, head func(http.Header), read func(*http.Response, io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(string(body)))
	if err != nil {
		return &CallError{Final: true, Err: err}
	}
	for name, values := range c.head {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, application/x-ndjson, text/event-stream")
	req.Header.Set("User-Agent", "Carnet")
	head(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which may have a secret
		}
		return fmt.Errorf("call the bot: %w", err)
	}
	defer func() {
		// What is left, if it is little, so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		_ = resp.Body.Close()
	}()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refused(resp)
	}
	return read(resp, &capped{r: resp.Body, left: maxAnswer})
}

// refused tells what a status means: 5xx, 408 and 429 may pass, others stay.
func refused(resp *http.Response) error {
	e := &CallError{Err: fmt.Errorf("the bot answers %d", resp.StatusCode)}
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests:
		e.After = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Final, e.Err = true, fmt.Errorf("the bot answers %d: redirects are not followed", resp.StatusCode)
	default:
		e.Final = true
	}
	return e
}

// retryAfter reads the header, in seconds or as a date (RFC 9110 section 10.2.3); zero
// if it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// capped is an answer up to maxAnswer. What is longer fails for good.
type capped struct {
	r    io.Reader
	left int
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left == 0 {
		var one [1]byte
		if n, err := c.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, unusable("has more than %d bytes", maxAnswer)
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// unusable is an answer that would be no better the next time.
func unusable(format string, args ...any) error {
	return &CallError{Final: true, Err: fmt.Errorf("the bot's answer "+format, args...)}
}
