package consumer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// TestChangesUnderLookups changes consumers and credentials while they are looked up,
// in a cache that is too small for them. A lookup that begins after a change of this
// node has returned must never see what was before it.
func TestChangesUnderLookups(t *testing.T) {
	t.Parallel()
	d := openData(t)
	n := newNode(t, d, func(c *consumer.RegistryConfig) { c.CacheBytes = 24 << 10 })
	other := newNode(t, d)
	const owners, keys, rounds = 3, 12, 25
	const leaving, gone = -1, -2
	var secrets, groups [keys]atomic.Int64 // the newest that stands: of a key, of an owner
	for i := range keys {
		n.add(t, fmt.Sprint("owner", i%owners), fmt.Sprint("k", i), "0")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				i := rand.IntN(keys)
				atLeast, group := secrets[i].Load(), groups[i%owners].Load()
				c, err := n.Find(t.Context(), fmt.Sprint("k", i))
				switch {
				case err != nil && fault.KindOf(err) != fault.Unavailable: // a consumer that changes all the while
					t.Errorf("Find() = %v", err)
				case c == nil:
					if err == nil && atLeast >= 0 && secrets[i].Load() == atLeast {
						t.Errorf("k%d is not found", i)
					}
				case atLeast >= 0 && secrets[i].Load() == atLeast && !proves(t, c, fmt.Sprint(atLeast)) && !proves(t, c, fmt.Sprint(atLeast+1)):
					t.Errorf("k%d verifies neither with secret %d nor the next", i, atLeast)
				case atLeast == gone:
					t.Errorf("k%d was deleted and is found", i)
				case len(c.Consumer.Groups) < int(group):
					t.Errorf("k%d's consumer is in %d groups, not %d", i, len(c.Consumer.Groups), group)
				default:
					n.Used(c, n.now())
				}
			}
		})
	}
	readers.Go(func() {
		for ctx.Err() == nil {
			if err := other.Follow(t.Context()); err != nil {
				t.Error(err)
			}
			if err := n.Follow(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := other.Find(t.Context(), "k0"); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range keys {
		writers.Go(func() {
			for round := range int64(rounds) {
				_, err := n.EditCredential(t.Context(), fmt.Sprint("k", i), func(r *consumer.Record) error {
					r.Secret = secret.FromString(fmt.Sprint(round + 1))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				secrets[i].Store(round + 1)
			}
			if i%2 == 0 {
				secrets[i].Store(leaving)
				if err := n.DeleteCredential(t.Context(), fmt.Sprint("k", i)); err != nil {
					t.Error(err)
				}
				secrets[i].Store(gone)
			}
		})
	}
	for i := range owners {
		writers.Go(func() {
			for g := range int64(rounds) {
				if _, err := n.AddGroup(t.Context(), fmt.Sprint("owner", i), consumer.Group{Name: fmt.Sprint(g)}); err != nil {
					t.Error(err)
				}
				groups[i].Store(g + 1)
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	n.follow(t)
	other.follow(t)
	for i := range keys {
		for name, node := range map[string]*node{"this": n, "other": other} {
			c := node.find(t, fmt.Sprint("k", i))
			if (i%2 == 0) != (c == nil) || c != nil && (!proves(t, c, fmt.Sprint(rounds)) || len(c.Consumer.Groups) != rounds) {
				t.Errorf("%s node: k%d is %+v in the end", name, i, c)
			}
		}
	}
}
