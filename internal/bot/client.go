package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/trace"
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
	return &client{e.URL, e.Headers, egress.New(egress.Config{
		Host: u.Hostname(), Connect: dialTimeout, Conns: e.Calls, Header: 64 << 10,
		Guard: egress.Guard{Networks: slices.Concat(e.Networks, egress.Named(u.Hostname()))},
	})}, nil
}

// post sends body and gives the answer, if its status is 2xx, to read. The error says
// whether another try is of use.
func (c *client) post(ctx context.Context, body []byte, head func(http.Header), read func(*http.Response, io.Reader) error) (err error) {
	ctx, span := trace.Call(ctx, "bot call")
	defer func() {
		if err != nil {
			span.Fail(outcomeOf(ctx, err))
		}
		span.End()
	}()
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
	trace.Inject(ctx, req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call the bot: %w", egress.WithoutURL(err))
	}
	defer egress.Done(resp.Body, 4<<10)
	span.Status(resp.StatusCode)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refused(resp)
	}
	return read(resp, capped{egress.Limit(resp.Body, maxAnswer)})
}

// refused tells what a status means: 5xx, 408 and 429 may pass, others stay.
func refused(resp *http.Response) error {
	e := &CallError{Err: fmt.Errorf("the bot answers %d", resp.StatusCode)}
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests:
		e.After = egress.RetryAfter(resp.Header, time.Now())
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Final, e.Err = true, fmt.Errorf("the bot answers %d: redirects are not followed", resp.StatusCode)
	default:
		e.Final = true
	}
	return e
}

// capped is an answer up to maxAnswer. What is longer fails for good.
type capped struct{ r io.Reader }

func (c capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if errors.Is(err, egress.ErrTooLarge) {
		err = unusable("has more than %d bytes", maxAnswer)
	}
	return n, err
}

// unusable is an answer that would be no better the next time.
func unusable(format string, args ...any) error {
	return &CallError{Final: true, Err: fmt.Errorf("the bot's answer "+format, args...)}
}
