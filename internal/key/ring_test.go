package key

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// memory is a store with what the interface promises. broken makes it fail;
// before runs once before the next save, as another process would.
type memory struct {
	mu     sync.Mutex
	keys   map[string]Key
	broken error
	before func()
}

func (m *memory) Keys(context.Context) ([]Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.keys)), m.broken
}

func (m *memory) SaveKeys(_ context.Context, seen []Key, keys ...Key) error {
	if do := m.before; do != nil {
		m.before = nil
		do()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if len(seen) != len(m.keys) || slices.ContainsFunc(seen, func(k Key) bool { return !k.Equal(m.keys[string(k.Set)+"/"+k.Public.ID()]) }) {
		return fault.New(fault.Conflict, "changed")
	}
	next := maps.Clone(m.keys)
	if next == nil {
		next = map[string]Key{}
	}
	for _, k := range keys {
		row := string(k.Set) + "/" + k.Public.ID()
		if old, ok := next[row]; ok {
			if !old.Public.Equal(k.Public) {
				return fault.New(fault.Conflict, "another key")
			}
			if !old.Revoked.IsZero() {
				k.Revoked = old.Revoked
			}
		}
		next[row] = k
	}
	m.keys = next
	return nil
}

// put saves keys over those that are there, as somebody with a database client would.
func (m *memory) put(keys ...Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		m.keys[string(k.Set)+"/"+k.Public.ID()] = k
	}
}

// bench is a ring with its store and a clock that stands until it is moved.
type bench struct {
	*Ring
	t     *testing.T
	store *memory
	mu    sync.Mutex
	now   time.Time
}

func newBench(t *testing.T, specs ...Spec) *bench {
	t.Helper()
	b := &bench{t: t, store: &memory{}, now: epoch}
	b.Ring = b.another(masterKey(t, 1), specs...)
	b.must(b.Ensure(t.Context()))
	return b
}

// another is a second ring on the same store and clock.
func (b *bench) another(box *seal.Box, specs ...Spec) *Ring {
	b.t.Helper()
	r, err := New(Config{Specs: specs, Store: b.store, Box: box, Clock: b.clock})
	b.must(err)
	return r
}

func masterKey(t *testing.T, fill byte) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(secret.New(bytes.Repeat([]byte{fill}, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wantKind(err error, want fault.Kind) {
	b.t.Helper()
	if err == nil || fault.KindOf(err) != want {
		b.t.Errorf("error = %v, want kind %v", err, want)
	}
}

// states are those of the set's keys of an algorithm, the oldest first.
func (b *bench) states(name SetName, alg jose.Algorithm) (states []State) {
	for _, k := range b.List(name) {
		if k.Public.Algorithm() == alg {
			states = append(states, k.State(b.clock()))
		}
	}
	return states
}

func (b *bench) wantStates(alg jose.Algorithm, want ...State) {
	b.t.Helper()
	if got := b.states("access", alg); !slices.Equal(got, want) {
		b.t.Errorf("states of %s are %v, want %v", alg, got, want)
	}
}

// kid is that of the set's i-th key of the algorithm, from the oldest.
func (b *bench) kid(name SetName, alg jose.Algorithm, i int) string {
	b.t.Helper()
	for _, k := range b.List(name) {
		if k.Public.Algorithm() == alg {
			if i == 0 {
				return k.Public.ID()
			}
			i--
		}
	}
	b.t.Fatalf("no such %s key", alg)
	return ""
}

// signedBy signs something and returns the kid that did.
func (b *bench) signedBy(name SetName, alg jose.Algorithm) string {
	b.t.Helper()
	token, err := b.Sign(b.t.Context(), name, alg, "", []byte(`{"sub":"a"}`))
	b.must(err)
	for _, k := range b.List(name) {
		if verifies(k.Public, token) {
			return k.Public.ID()
		}
	}
	b.t.Fatal("signed by no key of the set")
	return ""
}

func verifies(k *jose.Key, token string) bool {
	var u jose.Unverified
	return u.Parse(token) == nil && u.Verify(k) == nil
}

// A set's size is that of its next RSA key; the one that signs stays as it is.
func TestRSABits(t *testing.T) {
	t.Parallel()
	spec := access()
	spec.Algorithms = []jose.Algorithm{jose.RS256, jose.ES256}
	b := newBench(t, spec)
	spec.RSABits = 3072
	bigger := b.another(masterKey(t, 1), spec)
	b.must(bigger.Ensure(t.Context()))
	b.must(bigger.Rotate(t.Context(), "access", RotateOptions{}))
	var sizes []int
	for _, k := range bigger.List("access") {
		if public, ok := k.Public.Crypto().(*rsa.PublicKey); ok {
			sizes = append(sizes, public.N.BitLen())
		}
	}
	slices.Sort(sizes)
	if diff := cmp.Diff([]int{2048, 3072}, sizes); diff != "" {
		t.Errorf("sizes of RSA keys (-want +got):\n%s", diff)
	}
}

func TestEnsureMakesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t, access(), device())
	b.wantStates(jose.ES256, Active)
	b.wantStates(jose.EdDSA, Active)
	if got := b.kid("mobile_device", jose.ES256, 0); got != "mobilev2_key1" {
		t.Errorf("first kid of a numbered set is %q", got)
	}
	first := b.List("access")
	if got, want := first[0].Public.ID(), first[0].Public.Thumbprint(); got != want {
		t.Errorf("kid is %s, want the thumbprint %s", got, want)
	}
	generation := b.Generation()
	b.must(b.Ensure(t.Context()))
	b.must(b.another(masterKey(t, 1), access(), device()).Ensure(t.Context()))
	b.must(b.Load(t.Context()))
	if diff := cmp.Diff(first, b.List("access"), cmp.Comparer(Key.Equal)); diff != "" {
		t.Errorf("Ensure again changed keys (-before +after):\n%s", diff)
	}
	if b.Generation() != generation {
		t.Error("the generation moved though nothing changed")
	}
}

func TestPublishedFollowsTheClock(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	ids := func(now time.Time) (ids []string) {
		for _, k := range b.Published("access", now) {
			ids = append(ids, k.ID())
		}
		doc, err := b.JWKS("access", now)
		b.must(err)
		set, err := jose.ParseSet(doc)
		b.must(err)
		var documented []string
		for _, k := range set.Keys() {
			documented = append(documented, k.ID())
			if k.CanSign() {
				t.Errorf("the JWKS has the private key of %s", k.ID())
			}
		}
		if !slices.Equal(ids, documented) {
			t.Errorf("JWKS has %v, Published %v", documented, ids)
		}
		return ids
	}
	b.pass(time.Hour)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.ES256}))
	first, second, eddsa := b.kid("access", jose.ES256, 0), b.kid("access", jose.ES256, 1), b.kid("access", jose.EdDSA, 0)
	all := ids(b.clock())
	slices.Sort(all)
	if want := slices.Sorted(slices.Values([]string{first, second, eddsa})); !slices.Equal(all, want) {
		t.Fatalf("published %v, want the pending key among %v", all, want)
	}
	generation := b.Generation()

	end := b.clock().Add(10*time.Minute + 24*time.Hour)
	if got := ids(end.Add(-1)); !slices.Contains(got, first) {
		t.Errorf("published %v just before its end, want %s in it", got, first)
	}
	if got := ids(end); slices.Contains(got, first) || len(got) != 2 {
		t.Errorf("published %v at its end, want %s gone", got, first)
	}
	if got := ids(b.clock()); len(got) != 3 {
		t.Errorf("published %v after looking ahead, want three", got)
	}

	b.pass(10 * time.Minute) // the second begins to sign
	if b.Generation() != generation {
		t.Error("the generation moved though the published keys did not")
	}
	b.pass(24*time.Hour - 1)
	if b.Generation() != generation {
		t.Error("the generation moved before the first key's end")
	}
	b.pass(1)
	if b.Generation() == generation {
		t.Error("the generation did not move at the first key's end")
	}
	generation = b.Generation()
	b.must(b.Revoke(t.Context(), second))
	if b.Generation() <= generation {
		t.Error("the generation did not grow with a revocation")
	}
	if got := ids(b.clock()); slices.Contains(got, second) {
		t.Errorf("published %v, with the revoked %s", got, second)
	}
}

func TestUnknownAndEmptySets(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	if b.Published("sts", b.clock()) != nil || b.List("sts") != nil {
		t.Error("a set that is not configured has keys")
	}
	_, err := b.JWKS("sts", b.clock())
	b.wantKind(err, fault.NotFound)
	b.wantKind(b.Rotate(t.Context(), "sts", RotateOptions{}), fault.NotFound)
	b.wantKind(b.Retire(t.Context(), "nobody"), fault.NotFound)
	b.wantKind(b.Revoke(t.Context(), "nobody"), fault.NotFound)
	b.wantKind(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.RS256}), fault.Invalid)
	for alg, name := range map[jose.Algorithm]SetName{jose.ES256: "sts", jose.RS256: "access", jose.HS256: "access"} {
		if _, err := b.Sign(t.Context(), name, alg, "", []byte(`{}`)); err == nil {
			t.Errorf("signed %s with set %s", alg, name)
		}
	}
	empty, err := New(Config{Specs: []Spec{access()}, Store: &memory{}})
	b.must(err)
	doc, err := empty.JWKS("access", epoch)
	if err != nil || string(doc) != `{"keys":[]}` {
		t.Errorf("JWKS of an empty set = %s, %v", doc, err)
	}
}

func TestNodeWithoutMasterKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	admit := b.another(nil, access())
	b.must(admit.Load(t.Context()))
	if got := len(admit.Published("access", b.clock())); got != 2 {
		t.Errorf("it publishes %d keys, want 2", got)
	}
	if _, err := admit.Sign(t.Context(), "access", jose.ES256, "", []byte(`{}`)); err == nil {
		t.Error("it signs")
	}
	b.must(admit.Ensure(t.Context())) // nothing is missing
	if err := admit.Rotate(t.Context(), "access", RotateOptions{}); fault.KindOf(err) != fault.Denied {
		t.Error("it makes keys")
	}
	b.pass(time.Second)
	b.must(admit.Revoke(t.Context(), b.kid("access", jose.ES256, 0)))
	b.must(b.RotateDue(t.Context())) // the node that can makes the successor
	b.wantStates(jose.ES256, Revoked, Active)
}

func TestLoadRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.must(b.another(nil, access()).Load(t.Context()))
	if err := b.another(masterKey(t, 2), access()).Load(t.Context()); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another master key: error = %v, want %v", err, seal.ErrOpen)
	}
	keys, err := b.store.Keys(t.Context())
	b.must(err)
	keys[0].Sealed, keys[1].Sealed = keys[1].Sealed, keys[0].Sealed
	b.store.put(keys...)
	if err := b.another(masterKey(t, 1), access()).Load(t.Context()); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("private keys in each other's rows: error = %v, want %v", err, seal.ErrOpen)
	}
}

func TestLoadRefusesAnotherPrivateKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	keys, err := b.store.Keys(t.Context())
	b.must(err)
	kid := keys[0].Public.ID()
	usurper, err := jose.Generate(keys[0].Public.Algorithm(), kid)
	b.must(err)
	plain, err := usurper.MarshalPrivateJWK()
	b.must(err)
	keys[0].Sealed, err = masterKey(t, 1).Seal(purpose("access", kid), plain)
	b.must(err)
	b.store.put(keys...)
	if err := b.another(masterKey(t, 1), access()).Load(t.Context()); err == nil || !strings.Contains(err.Error(), kid) {
		t.Errorf("error = %v, want one that names %s", err, kid)
	}
}

func TestLoadKeepsTheLastSnapshot(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	generation := b.Generation()
	b.store.broken = errors.New("store is down")
	for name, err := range map[string]error{
		"load": b.Load(t.Context()), "ensure": b.Ensure(t.Context()),
		"rotate": b.Rotate(t.Context(), "access", RotateOptions{}),
	} {
		if !errors.Is(err, b.store.broken) {
			t.Errorf("%s: error = %v, want %v", name, err, b.store.broken)
		}
	}
	if len(b.Published("access", b.clock())) != 2 || b.Generation() != generation {
		t.Error("the last snapshot is not in force")
	}
	b.signedBy("access", jose.ES256)
}

func TestClockSetBackRefusesToSign(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.pass(time.Hour)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Now: true}))
	b.pass(time.Second)
	late := b.another(masterKey(t, 1), access())
	b.must(late.Load(t.Context())) // opens no key that only verifies
	b.pass(-2 * time.Second)
	if _, err := late.Sign(t.Context(), "access", jose.ES256, "", []byte(`{}`)); err == nil {
		t.Error("signed with a key that was not opened")
	}
}
