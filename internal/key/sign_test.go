package key

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// TestKeyThatDoesNotOpen: a node signs with the others, follows the store, and may revoke
// the one that it cannot open, but hands over to none.
func TestKeyThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	n := b.another(masterKey(t, 1), access())
	b.must(n.Load(t.Context()))
	signs := func(alg jose.Algorithm) error {
		_, err := n.Sign(t.Context(), "access", alg, "", []byte(`{}`))
		return err
	}
	state := func(kid string) State {
		list := n.List("access")
		return list[slices.IndexFunc(list, func(k Key) bool { return k.Public.ID() == kid })].State(b.clock())
	}
	b.pass(time.Second)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.EdDSA, Now: true}))
	spoiled, revoked := b.kid("access", jose.EdDSA, 1), b.kid("access", jose.ES256, 0)
	keys, err := b.store.Keys(t.Context())
	b.must(err)
	for _, k := range keys {
		if k.Public.ID() == spoiled {
			k.Sealed = "rubbish"
			b.store.put(k)
		}
	}
	b.must(b.Revoke(t.Context(), revoked))

	if err := n.Load(t.Context()); err == nil || !strings.Contains(err.Error(), spoiled) {
		t.Errorf("Load() = %v, want an error that names %s", err, spoiled)
	}
	if got := state(revoked); got != Revoked {
		t.Errorf("the key that was revoked elsewhere is %v", got)
	}
	b.must(signs(jose.ES256))
	if err := signs(jose.EdDSA); err == nil || !strings.Contains(err.Error(), spoiled) {
		t.Errorf("Sign() = %v, want an error that names %s", err, spoiled)
	}
	generation := n.Generation()
	for name, err := range map[string]error{
		"load again": n.Load(t.Context()), "ensure": n.Ensure(t.Context()), "retire": n.Retire(t.Context(), spoiled),
		"rotate": n.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.ES256}), "rotate what is due": n.RotateDue(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), spoiled) {
			t.Errorf("%s: error = %v, want one that names %s", name, err, spoiled)
		}
	}
	if n.Generation() != generation {
		t.Error("the generation moves though nothing was found")
	}
	b.must(n.Revoke(t.Context(), spoiled))
	if got := state(spoiled); got != Revoked {
		t.Errorf("the spoiled key is %v", got)
	}
	b.must(n.RotateDue(t.Context()))
	b.must(signs(jose.EdDSA))
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
