package storetest

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Assertions is the part of a store that keeps what was shown once.
type Assertions interface {
	UseAssertion(ctx context.Context, id [32]byte, expires time.Time) (bool, error)
	DeleteExpiredAssertions(ctx context.Context, before time.Time) (int, error)
}

func assertionTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"an assertion is good once":         testUseAssertion,
		"expired assertions are forgotten":  testDeleteExpiredAssertions,
		"of many uses of one assertion one": testUseAssertionRace,
	}
}

func testUseAssertion(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	for i, use := range []struct {
		name string
		want bool
	}{{"a", true}, {"b", true}, {"a", false}, {"b", false}, {"", true}} {
		first, err := s.UseAssertion(ctx, sha256.Sum256([]byte(use.name)), epoch)
		must(t, err)
		if first != use.want {
			t.Errorf("use %d, of %q: %t, want %t", i, use.name, first, use.want)
		}
	}
}

func testUseAssertionRace(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	var first atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			ok, err := s.UseAssertion(ctx, [32]byte{7}, epoch)
			if err != nil {
				t.Error(err)
			}
			if ok {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if n := first.Load(); n != 1 {
		t.Errorf("%d callers were the first", n)
	}
}

func testDeleteExpiredAssertions(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	for i, expires := range []time.Time{epoch, epoch.Add(-1e6), epoch.Add(time.Hour)} {
		_, err := s.UseAssertion(ctx, [32]byte{byte(i)}, expires)
		must(t, err)
	}
	for _, want := range []int{1, 0} {
		n, err := s.DeleteExpiredAssertions(ctx, epoch)
		must(t, err)
		if n != want {
			t.Errorf("DeleteExpiredAssertions() = %d, want %d", n, want)
		}
	}
	for i, want := range []bool{false, true, false} {
		first, err := s.UseAssertion(ctx, [32]byte{byte(i)}, epoch)
		must(t, err)
		if first != want {
			t.Errorf("assertion %d may be used again: %t, want %t", i, first, want)
		}
	}
}
