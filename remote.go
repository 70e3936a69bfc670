package carnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// RemoteConfig requires Issuer.
type RemoteConfig struct {
	Issuer string // the iss that the keys speak for; no other issuer's token finds them
	// URL is that of the JWKS document: https, or http to a loopback address. If it is
	// "", the issuer's metadata says it (OpenID Connect Discovery 1.0 §4).
	URL string

	Refresh  time.Duration // how old the keys may be before they are fetched again, in the background; 0: 5 minutes
	MaxStale time.Duration // how old they may be while fetching fails; 0: 1 hour
	Cooldown time.Duration // the least time between fetches that unknown kids ask for; 0: 10 seconds
	Timeout  time.Duration // of one fetch, body included; 0: 5 seconds

	Client  *http.Client // its Transport is used, its redirect rule is not; nil: a client of its own
	Observe func(Fetch)  // called after each fetch; nil: nobody looks
	Clock   func() time.Time
}

// Fetch is how one fetch of keys went.
type Fetch struct {
	Err  error // nil: the keys in use are those of now
	Took time.Duration
}

// Remote is a [KeySource] that fetches a JWKS document and keeps it fresh. Each
// fetch replaces the whole set, so that a key which the issuer took out is gone. A set
// of shared secrets is refused: who can fetch it could sign. One fetch runs at a time,
// however many tokens wait for it.
type Remote struct {
	c       RemoteConfig
	client  *http.Client
	current atomic.Pointer[fetched]

	last atomic.Pointer[time.Time] // when the last fetch began; nil: never

	mu     sync.Mutex
	flight *flight // the fetch that is running
}

type fetched struct {
	list       *keyList
	document   string
	at         time.Time
	generation uint64
}

type flight struct {
	done chan struct{}
	err  error
}

// RemoteKeys checks the configuration. It fetches nothing yet: the first token does.
func RemoteKeys(c RemoteConfig) (*Remote, error) {
	if c.Issuer == "" {
		return nil, errors.New("remote keys need an Issuer")
	}
	from, field := c.URL, "URL"
	if from == "" {
		from, field = c.Issuer, "Issuer"
	}
	if u, err := remoteURL(from); err != nil {
		return nil, fmt.Errorf("remote keys: %s: %w", field, err)
	} else if c.URL == "" && (u.RawQuery != "" || u.ForceQuery || u.Fragment != "") {
		return nil, errors.New("remote keys: an issuer has no query and no fragment")
	}
	for d, standard := range map[*time.Duration]time.Duration{
		&c.Refresh: 5 * time.Minute, &c.MaxStale: time.Hour, &c.Cooldown: 10 * time.Second, &c.Timeout: 5 * time.Second,
	} {
		if *d <= 0 {
			*d = standard
		}
	}
	c.MaxStale = max(c.MaxStale, c.Refresh)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	client := &http.Client{}
	if c.Client != nil {
		client.Transport = c.Client.Transport
	}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 3 {
			return errors.New("redirect to another host")
		}
		return nil
	}
	return &Remote{c: c, client: client}, nil
}

// Generation moves if a fetch brought another document, and when the set has become
// too old to be used. It also starts the refresh: a verifier whose tokens are all in
// its cache calls nothing else.
func (r *Remote) Generation() uint64 {
	f := r.current.Load()
	if f == nil {
		return 0
	}
	now := r.c.Clock()
	age := now.Sub(f.at)
	if age >= r.c.Refresh && r.cooled(now, r.c.Cooldown) {
		r.begin(now, true)
	}
	if age >= r.c.MaxStale {
		return f.generation<<1 | 1
	}
	return f.generation << 1
}

// cooled reports whether the last fetch began at least wait ago.
func (r *Remote) cooled(now time.Time, wait time.Duration) bool {
	last := r.last.Load()
	return last == nil || now.Sub(*last) >= wait
}

// Find looks the key up in the set that was fetched last. It waits for a fetch only
// if there is no set that is fresh enough, or if the set lacks the kid and the
// cooldown has passed. [ErrKeysUnavailable] says that there is no set to look in.
func (r *Remote) Find(ctx context.Context, h Hint) ([]*Key, error) {
	if h.Issuer != r.c.Issuer {
		return nil, ErrUnknownKey
	}
	f, now := r.current.Load(), r.c.Clock()
	switch {
	case f == nil || now.Sub(f.at) >= r.c.MaxStale:
		if err := r.fetch(ctx, now, false); err != nil && r.current.Load() == f {
			return nil, err // else a fetch ended since we looked
		}
		f = r.current.Load()
	case now.Sub(f.at) >= r.c.Refresh:
		r.begin(now, true)
	}
	found, err := f.list.Find(ctx, h)
	if !errors.Is(err, ErrUnknownKey) {
		return found, err
	}
	if r.fetch(ctx, now, true) != nil && r.current.Load() == f {
		return nil, ErrUnknownKey // what we have does not know it
	}
	return r.current.Load().list.Find(ctx, h)
}

// fetch waits for a fetch to end: the running one, or a new one.
func (r *Remote) fetch(ctx context.Context, now time.Time, cooled bool) error {
	fl := r.begin(now, cooled)
	if fl == nil {
		return ErrKeysUnavailable // cooling down
	}
	select {
	case <-fl.done:
		return fl.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
	}
}

// begin returns the running fetch or starts one. A fetch that nobody needs at once
// (cooled) waits until the cooldown has passed: begin then returns nil. The
// fetch does not end with the request that caused it, since others wait for it too,
// but within the timeout.
func (r *Remote) begin(now time.Time, cooled bool) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	wait := r.c.Cooldown
	if !cooled {
		wait = min(wait, time.Second) // an issuer that is down is asked once a second
	}
	if !r.cooled(now, wait) {
		return nil
	}
	fl := &flight{done: make(chan struct{})}
	r.flight = fl
	r.last.Store(&now)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.c.Timeout)
		defer cancel()
		began := time.Now()
		fl.err = r.replace(ctx, now)
		if r.c.Observe != nil {
			r.c.Observe(Fetch{fl.err, time.Since(began)})
		}
		r.mu.Lock()
		r.flight = nil
		r.mu.Unlock()
		close(fl.done)
	}()
	return fl
}

// replace fetches the document and puts its keys in place of the old ones.
func (r *Remote) replace(ctx context.Context, now time.Time) error {
	data, err := r.document(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	old := r.current.Load()
	if old != nil && old.document == string(data) {
		r.current.Store(&fetched{old.list, old.document, now, old.generation})
		return nil
	}
	list, err := parseKeyList(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	for _, k := range list.keys {
		if k.key.Algorithm().Symmetric() { // whoever can fetch it could sign
			return fmt.Errorf("%w: key set holds a shared secret", ErrKeysUnavailable)
		}
	}
	next := &fetched{list, string(data), now, 1}
	if old != nil {
		next.generation = old.generation + 1
	}
	r.current.Store(next)
	return nil
}

func (r *Remote) download(ctx context.Context, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("key set: status %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, jose.MaxJWKS+1))
	if err != nil {
		return nil, err
	}
	if len(data) > jose.MaxJWKS {
		return nil, errors.New("key set: document is too large")
	}
	return data, nil
}

// remoteURL reads the address of something that we trust because of where it lies.
func remoteURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return nil, errors.New("not an absolute URL")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("must be https (http only from a loopback address)")
	case u.User != nil:
		return nil, errors.New("the URL must not hold credentials")
	default:
		return u, nil
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
