package key

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

func TestSignNamesTheKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	for alg, want := range map[jose.Algorithm]jose.Algorithm{"": jose.ES256, jose.ES256: jose.ES256, jose.EdDSA: jose.EdDSA} {
		token, err := b.Sign(t.Context(), "access", alg, "at+jwt", []byte(`{"sub":"a"}`))
		b.must(err)
		var u jose.Unverified
		b.must(u.Parse(token))
		for _, k := range b.Published("access", b.clock()) {
			if err := u.Verify(k); (err == nil) != (k.Algorithm() == want) {
				t.Errorf("alg %q: verified with the %s key: %v", alg, k.Algorithm(), err)
			}
		}
		if got := string(u.Payload()); got != `{"sub":"a"}` {
			t.Errorf("claims are %s", got)
		}
	}
}

// TestSlowSignaturesAreRationed fills the slots and the queue by hand.
func TestSlowSignaturesAreRationed(t *testing.T) {
	t.Parallel()
	spec := access()
	spec.Algorithms = []jose.Algorithm{jose.ES256, jose.ES384}
	b := newBench(t, spec)
	sign := func(ctx context.Context, alg jose.Algorithm) error {
		_, err := b.Sign(ctx, "access", alg, "", []byte(`{}`))
		return err
	}
	slow := b.keeper.(*safe).slow
	slots := cap(slow.slots)
	for range slots {
		b.must(slow.enter(t.Context()))
	}
	b.must(sign(t.Context(), jose.ES256)) // the quick ones are not held up

	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sign(over, jose.ES384); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a cancelled context: error = %v, want %v", err, context.Canceled)
	}

	waiting := slow.limit - int64(slots)
	var wg sync.WaitGroup
	for range waiting {
		wg.Go(func() {
			if err := sign(t.Context(), jose.ES384); err != nil {
				t.Errorf("one that waited: %v", err)
			}
		})
	}
	for slow.inside.Load() < slow.limit {
		select {
		case <-t.Context().Done():
			t.Fatal("they never came to wait")
		default:
		}
	}
	err := sign(t.Context(), jose.ES384)
	b.wantKind(err, fault.Unavailable)
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.RetryAfter <= 0 {
		t.Errorf("error = %v, want one that says when to retry", err)
	}
	for range slots {
		slow.leave()
	}
	wg.Wait()
	b.must(sign(t.Context(), jose.ES384))
	if n := slow.inside.Load(); n != 0 {
		t.Errorf("%d are still inside", n)
	}
}

func TestPoolWaitsInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{slots: make(chan struct{}, 1), limit: 3}
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		outcome := make(chan error, 2)
		go func() { outcome <- p.enter(ctx) }()
		synctest.Wait()
		go func() { outcome <- p.enter(t.Context()) }()
		synctest.Wait()
		if err := p.enter(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("over the limit: error = %v", err)
		}
		cancel()
		if err := <-outcome; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that gave up: error = %v", err)
		}
		synctest.Wait()
		select {
		case err := <-outcome:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		p.leave()
		if err := <-outcome; err != nil {
			t.Errorf("the one that waited: %v", err)
		}
		p.leave()
		if n := p.inside.Load(); n != 0 {
			t.Errorf("%d are still inside", n)
		}
	})
}

func TestRingUnderConcurrency(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				b.Generation()
				if _, err := b.JWKS("access", b.clock()); err != nil {
					t.Error(err)
				}
				if _, err := b.Sign(t.Context(), "access", jose.ES256, "", []byte(`{}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if err := b.Rotate(t.Context(), "access", RotateOptions{Now: true}); err != nil {
			t.Error(err)
		}
		b.pass(1e9)
	}
	close(done)
	wg.Wait()
}
