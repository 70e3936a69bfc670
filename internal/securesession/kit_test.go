package securesession

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// shelf is a store in memory, which a test can break.
type shelf struct {
	mu       sync.Mutex
	records  map[Key]Record
	expires  map[Key]time.Time
	holders  map[Key]string
	lapses   map[Key]time.Time
	unread   bool
	unsaved  bool
	requests int
}

func newShelf() *shelf {
	return &shelf{records: map[Key]Record{}, expires: map[Key]time.Time{}, holders: map[Key]string{}, lapses: map[Key]time.Time{}}
}

var errShelf = errors.New("the shelf fell down")

func (s *shelf) LeaseSecureSession(_ context.Context, k Key, holder string, now, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.unread {
		return false, errShelf
	}
	if h := s.holders[k]; h != "" && h != holder && now.Before(s.lapses[k]) {
		return false, nil
	}
	s.holders[k], s.lapses[k] = holder, until
	return true, nil
}

func (s *shelf) SecureSession(_ context.Context, k Key, now time.Time) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.unread {
		return Record{}, errShelf
	}
	if !now.Before(s.expires[k]) {
		return Record{}, nil
	}
	return s.records[k], nil
}

func (s *shelf) SaveSecureSession(_ context.Context, k Key, holder string, r Record, expires time.Time) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.unsaved {
		return Record{}, errShelf
	}
	if r.Began.After(s.records[k].Began) {
		r.Began, r.Until, r.At = r.Began.Round(0), r.Until.Round(0), r.At.Round(0) // no monotonic clock
		s.records[k], s.expires[k] = r, expires
	}
	if s.holders[k] == holder {
		delete(s.holders, k)
	}
	return s.records[k], nil
}

func (s *shelf) ReleaseSecureSession(_ context.Context, k Key, holder string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.holders[k] == holder {
		delete(s.holders, k)
	}
	return nil
}

func (s *shelf) DeleteSecureSession(_ context.Context, k Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	delete(s.records, k)
	delete(s.holders, k)
	return nil
}

func (s *shelf) DeleteExpiredSecureSessions(_ context.Context, before time.Time) (n int, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, at := range s.expires {
		if at.Before(before) {
			delete(s.records, k)
			delete(s.expires, k)
			n++
		}
	}
	return n, nil
}

// official is an authorizer that reads the member "token" of a context.
type official struct {
	mu       sync.Mutex
	answers  func(token string) Answer
	takes    time.Duration
	revision string
	asked    []string
	busy     int
	most     int // how many questions there were at once
}

func (o *official) Revision() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.revision
}

func (o *official) Learn(context.Context) {}

func (o *official) Read(object json.RawMessage) (Inputs, bool) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, true
	}
	return Inputs{"token": members["token"]}, members["token"] == nil
}

func (o *official) Check(ctx context.Context, _ Key, s Subject) Answer {
	var context struct{ Token string }
	_ = json.Unmarshal(s.Context, &context)
	o.mu.Lock()
	o.asked = append(o.asked, context.Token)
	o.busy++
	o.most = max(o.most, o.busy)
	takes, answers := o.takes, o.answers
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.busy--
		o.mu.Unlock()
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return Answer{Class: Failure, Detail: "timeout"}
	}
	return answers(context.Token)
}

func (o *official) calls() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// byToken lets in who has the token "good", and has no answer to "odd".
func byToken(token string) Answer {
	switch token {
	case "good":
		return Answer{Class: Yes, Detail: "2xx"}
	case "odd":
		return Answer{Class: Failure, Detail: "5xx", RetryAfter: 3 * time.Second}
	default:
		return Answer{Class: No, Detail: "4xx"}
	}
}

// bench is a gate that runs, and all that it talks to.
type bench struct {
	*Gate
	policy   *Policy
	official *official
	shelf    *shelf

	mu        sync.Mutex
	notices   []Notice
	decisions []Decision
	called    []string
	merged    []string
	mergeErr  error
}

func (b *bench) Decided(d Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.At = time.Time{}
	b.decisions = append(b.decisions, d)
}

func (b *bench) Called(alias, detail string, _ time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.called = append(b.called, alias+" "+detail)
}

func newBench(t testing.TB, s *shelf, node string, edit func(*Config)) *bench {
	t.Helper()
	b := &bench{
		policy:   &Policy{Alias: "ask-bank", Interval: 10 * time.Second, Timeout: 3 * time.Second, MaxPending: 32, HonourMaxAge: true},
		official: &official{answers: byToken, takes: 200 * time.Millisecond},
		shelf:    s,
	}
	guard := &Guard{Policy: b.policy, Authorizer: b.official}
	c := Config{
		Store: s, Key: testKey, Node: node, Observer: b,
		Guard: func(bot string) *Guard {
			if bot == "free" {
				return nil
			}
			return guard
		},
		Notify: func(_ string, n Notice) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notices = append(b.notices, n)
		},
		Merge: func(_ context.Context, _ string, set json.RawMessage) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.merged = append(b.merged, string(set))
			return b.mergeErr
		},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if edit != nil {
		edit(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.Gate = g
	return b
}

// held is how many conversations are in memory, and how many records in the store.
func (b *bench) held() (sessions, records int) {
	b.Gate.mu.Lock()
	defer b.Gate.mu.Unlock()
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	return len(b.sessions), len(b.shelf.records)
}

// run runs the gate until stop, or the end of the test.
func (b *bench) run(t testing.TB) (stop func()) {
	t.Helper()
	return b.serve(context.Background(), t)
}

func (b *bench) serve(ctx context.Context, t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func ask(token string) Ask {
	a := Ask{Key: Key{"teller", "c1"}, Message: "m1"}
	a.Context = json.RawMessage(`{"token":"` + token + `","note":"x"}`)
	return a
}

// reason is that of a verdict; "" if the message passed.
func reason(err error) string {
	if err == nil {
		return ""
	}
	if r, ok := errors.AsType[Reason](err); ok && fault.KindOf(err) != fault.Internal {
		return string(r)
	}
	return "error: " + err.Error()
}
