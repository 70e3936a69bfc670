package secretstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/observe/observetest"
	"github.com/carnetproject/carnet/internal/secret"
)

const key = "srn:vault::acme:secret:key"

var errDown = fault.New(fault.Unavailable, "down")

// stub is a provider that answers as it is told.
type stub struct {
	mu      sync.Mutex
	text    string // empty: it has nothing
	err     error
	looks   int
	latency time.Duration
}

func (s *stub) find(ctx context.Context, _ secret.SRN) (value, bool, error) {
	s.mu.Lock()
	s.looks++
	v, err, latency := value{text: []byte(s.text), version: fmt.Sprint(s.looks)}, s.err, s.latency
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return value{}, false, ctx.Err()
	case <-time.After(latency):
	}
	return v, len(v.text) > 0, err
}

func (s *stub) place(secret.SRN) string { return "in the stub" }

func (s *stub) set(text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.err = text, err
}

func (s *stub) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// stubbed is a resolver that asks the stubs, by their place in the list.
func stubbed(t *testing.T, c Config, stubs ...*stub) *Resolver {
	t.Helper()
	c.Organization = "acme"
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := newResolver(t, c)
	r.order = []string{"first", Builtin, "last"}[:len(stubs)]
	for i, s := range stubs {
		r.providers[r.order[i]] = s
	}
	return r
}

// want checks what the key is; "" is an error.
func want(t *testing.T, r *Resolver, text string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), key)
	if string(got.Reveal()) != text || (err == nil) != (text != "") {
		t.Errorf("after %v: Resolve() = %q, %v, want %q", time.Since(start), got.Reveal(), err, text)
	}
}

// start is when each synctest bubble begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestValueIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{text: "v1"}
		r := stubbed(t, Config{}, s)
		want(t, r, "v1")
		s.set("v2", nil)
		time.Sleep(TTL*9/10 - 1)
		want(t, r, "v1")
		if s.count() != 1 {
			t.Errorf("%d looks, want one", s.count())
		}
		time.Sleep(TTL/5 + 1)
		want(t, r, "v2")
		got, err := r.Find(t.Context(), key+"#")
		if err == nil {
			t.Errorf("Find() = %v, want an error", got)
		}
		got, err = r.Find(t.Context(), key)
		if err != nil || got.Provider != "first" || got.Version != "2" {
			t.Errorf("Find() = %+v, %v", got, err)
		}
	})
}

// What expires at one moment for many nodes must not be asked for at one moment.
func TestTTLsDiffer(t *testing.T) {
	t.Parallel()
	r := stubbed(t, Config{}, &stub{text: "v"})
	due := map[time.Duration]bool{}
	for i := range 20 {
		name := secret.NewSRN("acme", secret.Plain, fmt.Sprint("n", i))
		if _, err := r.Resolve(t.Context(), name.String()); err != nil {
			t.Fatal(err)
		}
		e := r.entry(name)
		due[e.due.Sub(e.seen)] = true
	}
	if len(due) < 15 {
		t.Errorf("20 secrets have %d times to live", len(due))
	}
}

func TestManyCallsAreOneLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{text: "v", latency: time.Second}
		r := stubbed(t, Config{}, s)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { want(t, r, "v") })
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := r.Resolve(hasty, key); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Resolve() error = %v, want that of its context", err)
		}
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d looks, want one", s.count())
		}
	})
}

// The caller that began a look may leave: those who wait with it still get the value.
func TestLookOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{text: "v", latency: time.Second}
		r := stubbed(t, Config{}, s)
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = r.Resolve(first, key) })
		synctest.Wait()
		wg.Go(func() { want(t, r, "v") })
		synctest.Wait()
		leave()
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d looks, want one", s.count())
		}
	})
}

func TestLookHasAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stubbed(t, Config{}, &stub{text: "v", latency: time.Hour})
		want(t, r, "")
		if took := time.Since(start); took != patience {
			t.Errorf("a look took %v, want %v", took, patience)
		}
	})
}

func TestStaleValue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		err  error
	}{
		"provider fails":      {"", errDown},
		"value does not fit":  {strings.Repeat("x", maxValue+1), nil},
		"provider refuses us": {"", fault.New(fault.Denied, "no")},
		"fault of ours":       {"", errors.New("bug")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				s, results := &stub{text: "v1"}, map[string]int{}
				r := stubbed(t, Config{Log: slog.New(slog.NewTextHandler(&logged, nil))}, s)
				r.Observe(func(provider, result string) { results[provider+" "+result]++ })
				want(t, r, "v1")
				s.set(tc.text, tc.err)
				time.Sleep(2 * TTL)
				want(t, r, "v1")
				looks := s.count()
				time.Sleep(retry - 1)
				want(t, r, "v1") // without another look
				time.Sleep(time.Nanosecond)
				want(t, r, "v1")
				if s.count() != looks+1 {
					t.Errorf("%d looks after %v, want one", s.count()-looks, retry)
				}
				time.Sleep(time.Until(start.Add(MaxStale)))
				want(t, r, "v1")
				time.Sleep(time.Nanosecond)
				want(t, r, "")
				if diff := cmp.Diff(map[string]int{"first ok": 1, "first stale": 3}, results); diff != "" {
					t.Errorf("looks (-want +got):\n%s", diff)
				}
				time.Sleep(retry)
				want(t, r, "")
				s.set("v2", nil)
				time.Sleep(retry)
				want(t, r, "v2")
				if results["first error"] != 1 || results["first ok"] != 2 {
					t.Errorf("looks %v, want one more error and one more success", results)
				}
				if got := logged.String(); strings.Count(got, "stays in force") != 1 || strings.Contains(got, "v1") || strings.Contains(got, "xxx") {
					t.Errorf("logged %q, want one warning without values", got)
				}
			})
		})
	}
}

func TestWhatIsGoneIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, results := &stub{text: "v1"}, map[string]int{}
		r := stubbed(t, Config{}, s)
		r.Observe(func(provider, result string) { results[provider+" "+result]++ })
		want(t, r, "v1")
		s.set("", nil)
		time.Sleep(2 * TTL)
		if _, err := r.Find(t.Context(), key); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "is not in the stub") {
			t.Errorf("Find() error = %v, want it not to be found", err)
		}
		s.set("", errDown) // an older value must not come back
		time.Sleep(retry)
		want(t, r, "")
		if diff := cmp.Diff(map[string]int{"first ok": 1, "none not_found": 1, "first error": 1}, results); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
	})
}

func TestOrderOfProviders(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first, second *stub
		want          string
	}{
		"the first has it":                 {&stub{text: "a"}, &stub{text: "b"}, "a"},
		"the second has it":                {&stub{}, &stub{text: "b"}, "b"},
		"nobody has it":                    {&stub{}, &stub{}, ""},
		"the second may have an older one": {&stub{err: errDown}, &stub{text: "b"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, stubbed(t, Config{}, tc.first, tc.second), tc.want)
		})
	}
}

func TestWithoutProviders(t *testing.T) {
	t.Parallel()
	r := newResolver(t, Config{Organization: "acme", Providers: []string{}, Environ: []string{"CARNET_SECRET_ACME__KEY=s3cret"}})
	if _, err := r.Find(t.Context(), key); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "is nowhere") {
		t.Errorf("Find() error = %v, want it to be nowhere", err)
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{text: "v1"}
		r := stubbed(t, Config{}, s)
		want(t, r, "v1")
		s.set("v2", nil)
		r.Expire()
		want(t, r, "v2")
		s.set("", errDown)
		r.Expire()
		want(t, r, "v2")
	})
}

func TestStoreChanged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stubs []*stub // the second is the store's
		want  string
	}{
		"the store's value":     {[]*stub{{}, {text: "v1"}, {}}, "new"},
		"a later provider's":    {[]*stub{{}, {}, {text: "v1"}}, "new"},
		"an earlier provider's": {[]*stub{{text: "v1"}, {}, {}}, "v1"},
		"without the store":     {[]*stub{{text: "v1"}}, "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := stubbed(t, Config{}, tc.stubs...)
				want(t, r, "v1")
				for _, s := range tc.stubs {
					s.set("new", nil)
				}
				r.StoreChanged()
				want(t, r, tc.want)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		r := stubbed(t, Config{}, &stub{}, s)
		want(t, r, "")
		s.set("new", nil)
		want(t, r, "")
		r.StoreChanged()
		want(t, r, "new")
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{text: "v1"}
		r := stubbed(t, Config{}, s)
		refresh := func(used string, newer bool, looks int) {
			t.Helper()
			before := s.count()
			got, err := r.Refresh(t.Context(), key, secret.FromString(used))
			if got != newer || err != nil || s.count()-before != looks {
				t.Errorf("Refresh(%s) = %v, %v in %d looks, want %v in %d", used, got, err, s.count()-before, newer, looks)
			}
		}
		refresh("v1", false, 1)
		refresh("v1", false, 0)
		s.set("v2", nil)
		refresh("v1", false, 0) // looked a moment ago
		time.Sleep(retry)
		refresh("v1", true, 1)
		refresh("v1", true, 0) // another caller had the old one, too
		refresh("v2", false, 0)
		want(t, r, "v2")
		s.set("", errDown)
		time.Sleep(retry)
		refresh("v2", false, 1) // the stale one is not newer
		s.set("", nil)
		time.Sleep(retry)
		for range 2 {
			if newer, err := r.Refresh(t.Context(), key, secret.FromString("v2")); newer || fault.KindOf(err) != fault.NotFound {
				t.Errorf("Refresh() of what is gone = %v, %v", newer, err)
			}
		}
		if newer, err := r.Refresh(t.Context(), "srn:x", secret.Bytes{}); newer || err == nil {
			t.Errorf("Refresh() of no ref = %v, %v", newer, err)
		}
	})
}

func TestRefreshOfAField(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{text: `{"user":"ann","password":"v1"}`}
		r := stubbed(t, Config{}, s)
		const ref = "srn:vault::acme:secretdoc:key#/"
		for _, field := range []string{"user", "password"} {
			if _, err := r.Resolve(t.Context(), ref+field); err != nil {
				t.Fatal(err)
			}
		}
		if s.count() != 1 {
			t.Errorf("%d looks for two fields of one secret", s.count())
		}
		s.set(`{"user":"ann","password":"v2"}`, nil)
		time.Sleep(retry)
		for field, tc := range map[string]struct {
			used  string
			newer bool
		}{"user": {"ann", false}, "password": {"v1", true}} {
			newer, err := r.Refresh(t.Context(), ref+field, secret.FromString(tc.used))
			if newer != tc.newer || err != nil {
				t.Errorf("Refresh(%s) = %v, %v, want %v", field, newer, err, tc.newer)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := &stub{text: "v"}
	r := stubbed(t, Config{}, s, s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				switch i {
				case 0:
					r.Expire()
				case 1:
					r.StoreChanged()
				case 2:
					r.Observe(func(string, string) {})
				case 3:
					_, _ = r.Refresh(t.Context(), key, secret.Bytes{})
				default:
					want(t, r, "v")
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkResolve(b *testing.B) {
	r, err := New(Config{Organization: "acme", Environ: []string{"CARNET_SECRET_ACME__KEY=v"}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Resolve(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLooksAreTraced has the trace of who needs a secret tell where it was sought.
func TestLooksAreTraced(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		err  error
		want string
	}{
		"found":     {"v", nil, "secret resolve carnet.provider=first carnet.result=ok"},
		"not there": {"", nil, "secret resolve carnet.provider=none carnet.result=not_found"},
		"down":      {"", errDown, "secret resolve carnet.provider=first carnet.result=error !"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, recorded := observetest.Record(t.Context())
			s := &stub{text: tc.text, err: tc.err}
			r := stubbed(t, Config{}, s)
			for range 2 { // the second answer comes from memory
				_, _ = r.Find(ctx, key)
			}
			if diff := cmp.Diff([]string{tc.want}, recorded()); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
		})
	}
}
