package carnet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// IntrospectionConfig requires URL, ClientID, ClientSecret and a Policy.
type IntrospectionConfig struct {
	URL                    string // the introspection endpoint: https, or http to a loopback address
	ClientID, ClientSecret string // shown as HTTP Basic (RFC 6749 §2.3.1)

	// Policy is what an answer must say (RFC 7662 §2.2). Its Type is not looked at, as
	// an answer has none; leave AnyIssuer to issuers that do not name themselves.
	Policy Policy

	// Local verifies signed tokens here, so that the issuer is asked about no more than
	// Local cannot decide: tokens that are no JWT, and all of them while the keys cannot
	// be fetched. nil: the issuer is asked about each.
	Local *Verifier
	// Revocation asks about what Local has verified, too: a token that was revoked is
	// refused within MaxAge, at the price of a call for each token and MaxAge.
	Revocation bool

	MaxAge  time.Duration // how long an answer is good, never past exp; 0: 10 seconds
	Answers int           // how many are kept; 0: 4096. One takes 16 KiB at most
	Timeout time.Duration // of one call, body included; 0: 5 seconds

	Client *http.Client // its Transport is used; redirects are never followed; nil: a client of its own
	Clock  func() time.Time
}

// Introspection verifies tokens by asking their issuer (RFC 7662): opaque ones, or
// signed ones that may have been revoked. One call for a token runs at a time, however
// many requests wait for it, and at most 64 calls altogether. It fails closed:
// [ErrIntrospection] says that the issuer did not answer. Safe for concurrent use.
type Introspection struct {
	c      IntrospectionConfig
	client *http.Client
	calls  chan struct{} // a place for each call that runs

	mu      sync.Mutex
	answers map[[sha256.Size]byte]*answered // by the token's hash: they hold no token
}

// answered is an answer, or one that is on its way.
type answered struct {
	done  chan struct{} // closed when the rest is there
	token *Verified
	err   error
	until time.Time
}

// maxAnswer is how long an answer of an introspection endpoint may be, in bytes.
const maxAnswer = 16 << 10

// NewIntrospection checks the configuration. It calls nobody yet.
func NewIntrospection(c IntrospectionConfig) (*Introspection, error) {
	if _, err := remoteURL(c.URL); err != nil {
		return nil, fmt.Errorf("introspection: URL: %w", err)
	}
	if c.ClientID == "" || c.ClientSecret == "" {
		return nil, errors.New("introspection: ClientID and ClientSecret must be given (RFC 7662 §2.1)")
	}
	c.Policy.Type = ""
	if err := c.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	if c.Revocation && c.Local == nil {
		return nil, errors.New("introspection: Revocation is for what Local verifies, and there is no Local")
	}
	for d, standard := range map[*time.Duration]time.Duration{&c.MaxAge: 10 * time.Second, &c.Timeout: 5 * time.Second} {
		if *d <= 0 {
			*d = standard
		}
	}
	if c.Answers <= 0 {
		c.Answers = 4096
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.Client != nil {
		client.Transport = c.Client.Transport
	}
	return &Introspection{
		c: c, client: client, calls: make(chan struct{}, 64), answers: map[[sha256.Size]byte]*answered{},
	}, nil
}

// Verify returns what Local or the issuer says of the token, or why it is refused:
// [ErrInactive] if the issuer does not vouch for it.
func (i *Introspection) Verify(ctx context.Context, token string) (*Verified, error) {
	if len(token) > jose.MaxToken {
		return nil, errTokenSize
	}
	var local *Verified
	if i.c.Local != nil && strings.Count(token, ".") == 2 {
		t, err := i.c.Local.Verify(ctx, token)
		if err != nil && !errors.Is(err, ErrKeysUnavailable) {
			return nil, err
		}
		if err == nil && !i.c.Revocation {
			return t, nil
		}
		local = t
	}
	said, err := i.ask(ctx, token)
	if err != nil {
		return nil, err
	}
	if local != nil {
		return local, nil
	}
	if err := i.c.Policy.checkTimes(said, i.c.Clock().UnixMilli()); err != nil {
		return nil, err
	}
	return said, nil
}

// ask returns the issuer's answer, from memory while it is good. The call does not end
// with the request that caused it, since others wait for it too, but within the timeout.
func (i *Introspection) ask(ctx context.Context, token string) (*Verified, error) {
	hash := sha256.Sum256([]byte(token))
	a, found := i.find(hash)
	switch {
	case a == nil:
		return nil, fmt.Errorf("%w: too many answers are awaited", ErrIntrospection)
	case !found:
		go i.fetch(a, hash, token)
	}
	select {
	case <-a.done:
		return a.token, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrIntrospection, ctx.Err())
	}
}

// find returns the answer in memory, else a new one that the caller must fetch; nil
// if all that memory has room for is on its way.
func (i *Introspection) find(hash [sha256.Size]byte) (a *answered, found bool) {
	now := i.c.Clock()
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.answers[hash]; a != nil && (!a.ended() || now.Before(a.until)) {
		return a, true
	}
	if _, old := i.answers[hash]; !old && len(i.answers) >= i.c.Answers && !i.forget() {
		return nil, false
	}
	a = &answered{done: make(chan struct{})}
	i.answers[hash] = a
	return a, false
}

// forget takes out one answer that has come, by chance: the map's order is random. It
// reports whether there was one.
func (i *Introspection) forget() bool {
	for hash, a := range i.answers {
		if a.ended() {
			delete(i.answers, hash)
			return true
		}
	}
	return false
}

func (a *answered) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// fetch fills a. What is not an answer is forgotten at once.
func (i *Introspection) fetch(a *answered, hash [sha256.Size]byte, token string) {
	ctx, cancel := context.WithTimeout(context.Background(), i.c.Timeout)
	defer cancel()
	began := i.c.Clock()
	a.token, a.err = i.call(ctx, token)
	a.until = began.Add(i.c.MaxAge)
	if a.token != nil {
		if expiry, ok := a.token.Expiry(); ok && expiry.Before(a.until) {
			a.until = expiry
		}
	}
	close(a.done)
	if errors.Is(a.err, ErrIntrospection) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.answers[hash] == a {
			delete(i.answers, hash)
		}
	}
}

// call asks the issuer (RFC 7662 §2.1).
func (i *Introspection) call(ctx context.Context, token string) (*Verified, error) {
	select {
	case i.calls <- struct{}{}:
		defer func() { <-i.calls }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrIntrospection, ctx.Err())
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.c.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntrospection, err)
	}
	req.SetBasicAuth(url.QueryEscape(i.c.ClientID), url.QueryEscape(i.c.ClientSecret))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntrospection, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrIntrospection, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIntrospection, err)
	}
	return i.read(body)
}

// read takes an answer (RFC 7662 §2.2). One that says of itself that it is of another
// kind of token is of no bearer: refresh tokens can be introspected, too.
func (i *Introspection) read(body []byte) (*Verified, error) {
	var o jose.Object
	if len(body) > maxAnswer || o.Parse(body) != nil {
		return nil, fmt.Errorf("%w: the answer is not one JSON object of at most 16 KiB", ErrIntrospection)
	}
	var active bool
	if err := o.Lookup("active").Decode(&active); err != nil {
		return nil, fmt.Errorf("%w: the answer has no member active", ErrIntrospection)
	}
	kind, _ := o.Lookup("token_type").Text()
	if !active || kind != "" && !strings.EqualFold(kind, "Bearer") {
		return nil, ErrInactive
	}
	t, err := newVerified(&jose.Unverified{}, &o, nil)
	if err != nil {
		return nil, err
	}
	if err := i.c.Policy.check(&t, i.c.Clock()); err != nil {
		return nil, err
	}
	return &t, nil
}
