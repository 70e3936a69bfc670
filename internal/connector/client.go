package connector

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/trace"
)

const (
	maxAnswer   = 256 << 10              // bytes of a body that is read
	drained     = 64 << 10               // bytes of one that is not, for its connection to be used again
	drainWithin = 100 * time.Millisecond // or else it is closed
	connectTime = time.Second            // for the connection, and again for TLS
)

// Config of a client requires Secrets if the connector names some.
type Config struct {
	Secrets secrets
	Guard   egress.Guard   // where the endpoint's host may lead
	Groups  *Restrictions  // nil: nobody is restricted
	Roots   *x509.CertPool // nil: the system's
	Clock   func() time.Time
	Observe func(Result) // called once per execution; nil: nobody looks
}

// Client calls the API of one connector. Safe for concurrent use.
type Client struct {
	*Connector
	cfg     Config
	http    *http.Client
	fetcher *fetcher // nil: no entry wants a file
	breaker breaker
	seen    atomic.Pointer[string] // see Revision
}

// NewClient makes a client. It calls nobody yet.
func NewClient(c *Connector, cfg Config) (*Client, error) {
	u, err := url.Parse(c.target.origin)
	if err != nil {
		return nil, errors.New("connector without an endpoint")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if len(c.secrets) > 0 && cfg.Secrets == nil {
		return nil, errors.New("connector " + c.Alias + " needs secrets")
	}
	cl := &Client{Connector: c, cfg: cfg, fetcher: newFetcher(c, cfg)}
	e := egress.Config{Host: u.Hostname(), Guard: cfg.Guard, Connect: connectTime, Roots: cfg.Roots}
	if c.certificate != "" {
		e.Certificate = cl.showCertificate
	}
	cl.http = egress.New(e)
	cl.note()
	return cl, nil
}

// Close gives back what the client holds. Calls that run go on.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.fetcher.close()
}

// Open tells whether the breaker keeps calls away, but for the one that may close it.
func (c *Client) Open() bool { return c.breaker.isOpen() }

func (c *Client) showCertificate(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, err := c.cfg.Secrets.Certificate(info.Context(), string(c.certificate))
	if err != nil {
		return nil, &Error{Code: SecretError, Message: "the certificate cannot be had, or not be used", Temporary: true}
	}
	return &cert, nil
}

// Call is one execution.
type Call struct {
	Input Input
	Actor Actor // who a restriction group counts
	Body  bool  // without a mapping, read the body of the answer
	Debug bool
	// Timeout is in force where the document has none; 0: the default.
	Timeout time.Duration
}

// Execute makes the call and tells what came of it, within the timeout and that of ctx,
// whichever ends first.
func (c *Client) Execute(ctx context.Context, call Call) Result {
	start := c.cfg.Clock()
	ctx, span := trace.Call(ctx, "connector call")
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, c.within(call))
	defer cancel()
	r := c.execute(ctx, call)
	r.Duration = c.cfg.Clock().Sub(start)
	class, _ := r.Class()
	span.Set("carnet.connector", c.Alias)
	span.Set("carnet.outcome", class)
	if r.Err != nil {
		span.Fail(string(r.Err.Code))
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(r)
	}
	return r
}

// within is how long a call may take.
func (c *Client) within(call Call) time.Duration {
	if call.Timeout > 0 && !c.timed {
		return call.Timeout
	}
	return c.Timeout
}

func (c *Client) execute(ctx context.Context, call Call) Result {
	r := Result{MaxAge: NoMaxAge}
	if call.Debug {
		r.Debug = &Debug{}
	}
	req, err := c.Prepare(call.Input)
	if err != nil {
		r.Err = &Error{Code: MappingError, Message: err.Error()}
		return r
	}
	if call.Debug {
		r.Debug.Request = &req
	}
	if wait := c.cfg.Groups.Restricted(ctx, c.Group, call.Actor); wait > 0 {
		r.Err = &Error{Code: Restricted, Message: "too many refusals", Temporary: true, RetryAfter: wait}
		return r
	}
	round, wait, ok := c.breaker.allow(c.cfg.Clock())
	if !ok {
		r.Err = &Error{Code: BreakerOpen, Message: "the API failed too often", Temporary: true, RetryAfter: wait}
		return r
	}
	c.call(ctx, &req, call, &r)
	result := good
	if r.Err != nil && r.Err.infrastructure(r.Status) {
		result = bad
	}
	if r.Status == 0 && r.Err != nil && result != bad || errors.Is(ctx.Err(), context.Canceled) {
		result = neither
	}
	c.breaker.report(round, c.cfg.Clock(), result)
	if result != neither {
		c.cfg.Groups.Report(ctx, c.Group, call.Actor, r.Status)
	}
	return r
}

// call sends the request, and once more if it was refused with a secret that has changed.
func (c *Client) call(ctx context.Context, req *Request, call Call, r *Result) {
	var shown values
	if shown, r.Err = c.resolve(ctx); r.Err != nil {
		return
	}
	done, failed := c.fetcher.fetch(ctx, req)
	defer done()
	if r.Err = failed; failed != nil {
		return
	}
	c.send(ctx, req, shown, call, r)
	if r.Status != http.StatusUnauthorized || !c.renewed(ctx, shown) {
		return
	}
	if fresh, err := c.resolve(ctx); err == nil {
		c.send(ctx, req, fresh, call, r)
	}
}

// send makes one exchange, with retries where nothing was sent.
func (c *Client) send(ctx context.Context, req *Request, v values, call Call, r *Result) {
	for try := 0; ; try++ {
		attempts := r.Attempts
		resp, err := c.roundTrip(ctx, req, v, &r.Attempts)
		if err == nil {
			c.answer(resp, call, r)
			return
		}
		r.Status, r.Err = 0, classify(err)
		if connected := r.Attempts > attempts; connected || try >= c.retries || !retried(r.Err.Code) {
			return
		}
	}
}

// retried tells whether what did not connect is tried again.
func retried(code Code) bool { return code == ConnectError || code == DNSError || code == TLSError }

func (c *Client) roundTrip(ctx context.Context, req *Request, v values, attempts *int) (*http.Response, error) {
	var connections atomic.Int32
	ctx, cancel := context.WithCancel(ctx)
	h, err := req.build(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections.Add(1) },
	}), v)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := c.http.Do(h)
	*attempts += int(connections.Load())
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &body{resp.Body, cancel}
	return resp, nil
}

// body ends its request when it is closed.
type body struct {
	io.ReadCloser
	end context.CancelFunc
}

// Close closes the body at once: what was left of it is not waited for.
func (b *body) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// answer reads what the connector wants of an answer.
func (c *Client) answer(resp *http.Response, call Call, r *Result) {
	b := resp.Body.(*body) //nolint:forcetypeassert // roundTrip's
	defer func() {
		// Too little comes, or too slowly: what was read counts, the connection does not.
		stop := time.AfterFunc(drainWithin, b.end)
		defer stop.Stop()
		egress.Done(b, drained)
	}()
	r.Status, r.Err, r.MaxAge = resp.StatusCode, judge(resp, c.cfg.Clock()), maxAge(resp.Header)
	wanted := r.Err == nil && (c.readsBody() || call.Body && len(c.response) == 0)
	var data []byte
	if wanted || call.Debug {
		var err error
		data, err = io.ReadAll(egress.Limit(resp.Body, maxAnswer))
		if call.Debug {
			r.Debug.answer(resp, data)
		}
		if err != nil && wanted {
			r.Err = cutOff(err)
			return
		}
	}
	if r.Err == nil {
		r.Err = c.read(data, resp.Header, call, r)
	}
}

// cutOff is of a body that cannot be read to its end.
func cutOff(err error) *Error {
	if e := classify(err); e.Code != ConnectError {
		return e
	}
	return &Error{Code: ResponseInvalid, Message: "the answer is cut off", Temporary: true}
}

// read makes the result of an answer that is 2xx.
func (c *Client) read(data []byte, head http.Header, call Call, r *Result) *Error {
	invalid := func(msg string) *Error { return &Error{Code: ResponseInvalid, Message: msg} }
	var err error
	if len(c.response) == 0 {
		if call.Body {
			r.Response, err = bodyOf(data)
		}
	} else {
		var v any
		if c.readsBody() {
			if v, err = decode(data); err != nil {
				return invalid("the answer is not JSON, or a member stands twice in it")
			}
		}
		r.Response, r.Headers, err = c.mapAnswer(v, head)
	}
	if err != nil {
		return invalid(err.Error())
	}
	return nil
}

// answer keeps what was answered for an operator.
func (d *Debug) answer(resp *http.Response, data []byte) {
	d.Status, d.Headers = resp.StatusCode, map[string]string{}
	for name := range resp.Header {
		d.Headers[name] = resp.Header.Get(name)
	}
	d.Response, _ = bodyOf(data)
}
