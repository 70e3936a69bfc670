package key

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// elsewhere is a keeper as a KMS would be one: it holds the private keys itself, and
// each call takes a while, or as long as it likes, or fails.
type elsewhere struct {
	private map[string]*jose.Key // by what the store keeps of them
	takes   time.Duration
	down    error
	hangs   bool
	opened  int
}

var errOutage = &fault.Error{Kind: fault.Unavailable, Msg: "keys are out of reach", RetryAfter: 5 * time.Second}

func (e *elsewhere) call(ctx context.Context) error {
	var answer <-chan time.Time
	if !e.hangs {
		answer = time.After(e.takes)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-answer:
		return e.down
	}
}

func (e *elsewhere) create(ctx context.Context, _ *Spec, alg jose.Algorithm, kid string) (*jose.Key, string, error) {
	if err := e.call(ctx); err != nil {
		return nil, "", err
	}
	private, err := jose.Generate(alg, kid)
	if err != nil {
		return nil, "", err
	}
	kept := "kms:" + private.ID()
	e.private[kept] = private
	return private.Public(), kept, nil
}

func (e *elsewhere) adopt(context.Context, SetName, *jose.Key) (string, error) {
	return "", fault.New(fault.Invalid, "keys are made here alone")
}

func (e *elsewhere) open(ctx context.Context, k *Key) (signer, error) {
	e.opened++
	return &remote{e, e.private[k.Sealed]}, e.call(ctx)
}

type remote struct {
	*elsewhere
	key *jose.Key
}

func (r *remote) sign(ctx context.Context, typ string, claims []byte) (string, error) {
	if err := r.call(ctx); err != nil {
		return "", err
	}
	return r.key.Sign(typ, claims)
}

// withElsewhere runs f in a bubble with a ring whose keys lie elsewhere.
func withElsewhere(t *testing.T, f func(t *testing.T, b *bench, e *elsewhere)) {
	synctest.Test(t, func(t *testing.T) {
		e := &elsewhere{private: map[string]*jose.Key{}, takes: 10 * time.Millisecond}
		b := &bench{t: t, store: &memory{}, now: epoch}
		spec := access()
		spec.Algorithms = []jose.Algorithm{jose.ES256}
		b.Ring = b.another(nil, spec)
		b.keeper = e
		b.must(b.Ensure(t.Context()))
		f(t, b, e)
	})
}

func (b *bench) signs(ctx context.Context) error {
	token, err := b.Sign(ctx, "access", "", "at+jwt", []byte(`{"sub":"a"}`))
	if err != nil {
		return err
	}
	var u jose.Unverified
	b.must(u.Parse(token))
	for _, k := range b.Published("access", b.clock()) {
		if u.Verify(k) == nil {
			return nil
		}
	}
	return errors.New("no published key verifies the token")
}

// TestKeysElsewhere has keys live their whole life with a keeper that is not ours.
func TestKeysElsewhere(t *testing.T) {
	t.Parallel()
	withElsewhere(t, func(t *testing.T, b *bench, e *elsewhere) {
		b.must(b.signs(t.Context()))
		for range 3 {
			b.must(b.Rotate(t.Context(), "access", RotateOptions{}))
			b.must(b.signs(t.Context()))
			b.pass(access().PublishAhead)
			b.must(b.signs(t.Context()))
		}
		b.must(b.Load(t.Context()))
		if e.opened != 4 || len(e.private) != 4 {
			t.Errorf("%d keys were opened %d times, want each of 4 once", len(e.private), e.opened)
		}
		private, err := jose.Generate(jose.ES256, "")
		b.must(err)
		_, err = b.Import(t.Context(), "access", ImportOptions{}, private)
		b.wantKind(err, fault.Invalid)
	})
}

// TestKeeperOutage: who asks for a signature is told when to come back, a rotation
// changes nothing, and all goes on when the outage ends.
func TestKeeperOutage(t *testing.T) {
	t.Parallel()
	withElsewhere(t, func(t *testing.T, b *bench, e *elsewhere) {
		e.down = errOutage
		for what, err := range map[string]error{
			"sign": b.signs(t.Context()), "rotate": b.Rotate(t.Context(), "access", RotateOptions{}),
		} {
			f, ok := errors.AsType[*fault.Error](err)
			if fault.KindOf(err) != fault.Unavailable || !ok || f.RetryAfter != errOutage.RetryAfter {
				t.Errorf("%s: error = %v, want one that says when to retry", what, err)
			}
		}
		if keys := b.List("access"); len(keys) != 1 {
			t.Errorf("%d keys after a rotation that failed, want the one that was", len(keys))
		}
		if _, err := b.JWKS("access", b.clock()); err != nil {
			t.Errorf("what verifies needs no keeper: %v", err)
		}
		e.down = nil
		b.must(b.signs(t.Context()))
		b.must(b.Rotate(t.Context(), "access", RotateOptions{}))
	})
}

// TestKeeperHangs: one that never answers holds up those alone who wait for it, until they
// give up. The bubble sees to it that no goroutine stays.
func TestKeeperHangs(t *testing.T) {
	t.Parallel()
	withElsewhere(t, func(t *testing.T, b *bench, e *elsewhere) {
		e.hangs = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		rotated := make(chan error)
		go func() { rotated <- b.Rotate(ctx, "access", RotateOptions{}) }()
		synctest.Wait() // the rotation waits for its key
		began := time.Now()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := b.signs(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a signature that nobody makes: error = %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("gave up after %v, want the caller's second", took)
		}
		if _, err := b.JWKS("access", b.clock()); err != nil {
			t.Errorf("reading waits for the rotation: %v", err)
		}
		if err := <-rotated; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a rotation that cannot be: error = %v", err)
		}
	})
}

// TestKeysOutOfReach has a node start to follow the store while the keeper is away.
func TestKeysOutOfReach(t *testing.T) {
	t.Parallel()
	withElsewhere(t, func(t *testing.T, b *bench, e *elsewhere) {
		n := b.another(nil, b.specs...)
		n.keeper = e
		e.down = errOutage
		b.wantKind(n.Load(t.Context()), fault.Unavailable)
		_, err := n.Sign(t.Context(), "access", "", "", []byte(`{}`))
		b.wantKind(err, fault.Unavailable)
		generation := n.Generation()
		e.down = nil
		b.must(n.Load(t.Context()))
		_, err = n.Sign(t.Context(), "access", "", "", []byte(`{}`))
		b.must(err)
		if n.Generation() != generation {
			t.Error("the generation moves though the keys are the same")
		}
	})
}
