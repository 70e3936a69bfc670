package connector

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
)

// base64Encoding is the one encoding of entries: of the file whose URL the input has.
const base64Encoding = "Base64"

const (
	maxFile    = 2 << 20 // bytes, before Base64
	maxFetches = 8       // calls of a connector that hold files at a time
)

// file is the URL of a file. Where it stands in a body, the file's Base64 is sent.
type file string

func (f file) name() string { return string(f) }

// fetched are the files of one call, in Base64.
type fetched map[file]string

// encoding tells whether an entry wants a file.
func (o *object) encoding(hosts []string) bool {
	word := o.text("encoding")
	at := pointer(o.at, "encoding")
	switch {
	case word == "":
		return false
	case word != base64Encoding:
		o.bad(at, "must be %q", base64Encoding)
	case len(hosts) == 0:
		o.bad(at, "fetches a file whose URL the input has: name the hosts that have such files in egress.files")
	}
	return true
}

// file takes a value as the URL of a file that may be fetched. It is the user's word, so
// that nothing but the operator's list says where it may lead.
func (c *Connector) file(v any) (file, error) {
	text, ok := v.(string)
	u, err := url.Parse(text)
	switch {
	case !ok || err != nil || len(text) > maxURL || u.User != nil || u.Scheme != "https" && !(c.insecure && u.Scheme == "http"):
		return "", errors.New("must be the https URL of a file")
	case !slices.Contains(c.files, strings.ToLower(u.Hostname())):
		return "", errors.New("is the URL of a file on a host that egress.files does not have")
	}
	return file(text), nil
}

// fetcher fetches the files of a connector's calls.
type fetcher struct {
	clients map[string]*http.Client // by host
	turns   chan struct{}           // each call that holds files has one
}

// newFetcher is nil where no entry wants a file.
func newFetcher(c *Connector, cfg Config) *fetcher {
	if !slices.ContainsFunc(c.request, func(m mapping) bool { return m.encoded }) {
		return nil
	}
	f := &fetcher{map[string]*http.Client{}, make(chan struct{}, maxFetches)}
	for _, host := range c.files {
		f.clients[host] = egress.New(egress.Config{Host: host, Guard: cfg.Guard, Connect: connectTime, Conns: maxFetches, Roots: cfg.Roots})
	}
	return f
}

func (f *fetcher) close() {
	if f == nil {
		return
	}
	for _, c := range f.clients {
		c.CloseIdleConnections()
	}
}

// fetch gets the files of a request, in half of the time that the call has: a slow one
// must not look like a failure of the API. Whoever holds them calls done, always. What
// goes wrong is the input's fault.
func (f *fetcher) fetch(ctx context.Context, req *Request) (done func(), failed *Error) {
	wanted := filesIn(req.body)
	if len(wanted) == 0 {
		return func() {}, nil
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	select {
	case f.turns <- struct{}{}:
	case <-ctx.Done():
		return func() {}, &Error{Code: MappingError, Message: "too many files are fetched at once", Temporary: true}
	}
	req.files = fetched{}
	for _, one := range wanted {
		if _, twice := req.files[one]; twice {
			continue
		}
		text, err := f.one(ctx, one)
		if err != nil {
			failed = &Error{Code: MappingError, Message: "a file cannot be had: " + err.Error()}
			break
		}
		req.files[one] = text
	}
	return func() { <-f.turns }, failed
}

// one is a file in Base64. The error repeats nothing of the URL.
func (f *fetcher) one(ctx context.Context, name file) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(name), nil)
	if err != nil {
		return "", errors.New("its URL is none")
	}
	req.Header = http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"Carnet"}}
	resp, err := f.clients[strings.ToLower(req.URL.Hostname())].Do(req)
	if err != nil {
		return "", errors.New(classify(err).Message)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or is of no use
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("its host answers %d", resp.StatusCode)
	}
	data, err := io.ReadAll(egress.Limit(resp.Body, maxFile))
	switch {
	case errors.Is(err, egress.ErrTooLarge):
		return "", fmt.Errorf("it has more than %d bytes", maxFile)
	case err != nil:
		return "", errors.New("it is cut off, or comes too slowly")
	}
	return base64.StdEncoding.EncodeToString(data), nil
}

func filesIn(v any) (out []file) {
	if f, ok := v.(file); ok {
		return []file{f}
	}
	for child := range children(v) {
		out = append(out, filesIn(child)...)
	}
	return out
}
