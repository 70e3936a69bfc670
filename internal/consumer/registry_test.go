package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

func TestFind(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	rec := n.add(t, "ann", "legacy", "s")
	if _, err := n.AddGroup(t.Context(), "ann", consumer.Group{Name: "device"}); err != nil {
		t.Fatal(err)
	}
	public := n.addPublic(t, "ann", "mobilev2")
	for range 2 { // from the store, and from memory
		c := n.find(t, "legacy")
		if !proves(t, c, "s") || proves(t, c, "x") || c.ID != rec.ID || !c.Symmetric() ||
			c.Consumer.Username != "ann" || c.Consumer.GroupList() != "device" {
			t.Errorf("legacy is %+v", c)
		}
		m := n.find(t, "mobilev2")
		if m == nil || m.Symmetric() || m.ID != public.ID || m.Named() {
			t.Errorf("mobilev2 is %+v", m)
		}
		if m.Consumer != c.Consumer {
			t.Error("credentials of one consumer do not share it")
		}
		for _, key := range []string{"", "Legacy", "legacy ", rec.ID, strings.Repeat("k", consumer.MaxName+1)} {
			if c := n.find(t, key); c != nil {
				t.Errorf("Find(%q) = %+v", key, c)
			}
		}
	}
	if got := n.data.finds.Load(); got != 5 {
		t.Errorf("the store was asked %d times for 2 keys that are there and 3 that are not", got)
	}
}

// addPublic adds a credential with an ES256 key.
func (n *node) addPublic(t testing.TB, owner, key string) consumer.Record {
	t.Helper()
	rec, err := n.AddCredential(t.Context(), consumer.Record{ConsumerID: owner, Key: key, Algorithm: jose.ES256, PublicKey: publicPEM(t)})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestFindDoesNotAllocate(t *testing.T) {
	n := newNode(t, openData(t))
	n.add(t, "ann", "k", "s")
	ctx := t.Context()
	for _, key := range []string{"k", "nobody"} {
		n.find(t, key)
		if allocs := testing.AllocsPerRun(100, func() { _, _ = n.Find(ctx, key) }); allocs != 0 {
			t.Errorf("Find(%q) allocates %v times", key, allocs)
		}
	}
	c := n.find(t, "k")
	n.Used(c, n.now())
	if allocs := testing.AllocsPerRun(100, func() { n.Used(c, n.now()) }); allocs != 0 {
		t.Errorf("Used() allocates %v times", allocs)
	}
}

func TestLookupIsShared(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	n.add(t, "ann", "k", "s")
	h := &hold{make(chan struct{}, 10), make(chan struct{})}
	n.data.hold.Store(h)
	gone, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = gone // its client hangs up
			}
			c, err := n.Find(ctx, "k")
			if i != 0 && (err != nil || c == nil) {
				t.Errorf("Find() = %v, %v", c, err)
			}
		})
	}
	<-h.begun
	cancel()
	n.data.hold.Store(nil)
	close(h.over)
	wg.Wait()
	if got := n.data.finds.Load(); got != 1 {
		t.Errorf("ten that ask at once ask the store %d times", got)
	}
	if !proves(t, n.find(t, "k"), "s") {
		t.Error("what was found is not kept")
	}
}

// TestGone: the store is not asked for somebody who has gone already.
func TestGone(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	n.add(t, "ann", "known", "s")
	n.add(t, "ann", "cold", "s")
	n.find(t, "known")
	before := n.data.finds.Load()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := n.Find(gone, "known"); err != nil || c == nil {
		t.Errorf("what is known: %v, %v", c, err)
	}
	_, err := n.Find(gone, "cold")
	wantKind(t, err, fault.Unavailable, "")
	if asked := n.data.finds.Load() - before; asked != 0 {
		t.Errorf("the store was asked %d times", asked)
	}
}

func TestStoreDown(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	n.add(t, "ann", "known", "s")
	n.add(t, "ann", "cold", "s")
	n.find(t, "known")
	n.find(t, "absent")
	if _, err := n.FindConsumer(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	n.data.down.Store(true)
	if err := n.Follow(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Follow() = %v", err)
	}
	if !proves(t, n.find(t, "known"), "s") {
		t.Error("a known credential does not go on")
	}
	if c, err := n.FindConsumer(t.Context(), "ann"); err != nil || c.Username != "ann" {
		t.Errorf("FindConsumer() = %v, %v", c, err)
	}
	if c := n.find(t, "absent"); c != nil {
		t.Errorf("an unknown key is %v", c)
	}
	for range 2 {
		_, err := n.Find(t.Context(), "cold")
		wantKind(t, err, fault.Unavailable, "")
	}
	_, err := n.FindConsumer(t.Context(), "bob")
	wantKind(t, err, fault.Unavailable, "")
	n.pass(time.Minute)
	_, err = n.Find(t.Context(), "absent")
	wantKind(t, err, fault.Unavailable, "")
	n.data.down.Store(false)
	if n.find(t, "cold") == nil {
		t.Error("a lookup that failed is remembered")
	}
}

func TestWritesAreInForceAtOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	ctx := t.Context()
	moves := func(want bool, what string, do func()) {
		t.Helper()
		before := n.Generation()
		if do(); (n.Generation() != before) != want {
			t.Errorf("%s: the generation went from %d to %d", what, before, n.Generation())
		}
	}
	if n.find(t, "k") != nil {
		t.Fatal("found what is not there")
	}
	moves(false, "add", func() { n.add(t, "ann", "k", "old") })
	if !proves(t, n.find(t, "k"), "old") {
		t.Error("an added key is still absent")
	}
	moves(true, "edit", func() {
		edited, err := n.EditCredential(ctx, "k", func(r *consumer.Record) error {
			if string(r.Secret.Reveal()) != "old" || r.Sealed != nil {
				t.Errorf("the edit gets %+v", r)
			}
			r.Secret = secret.FromString("new")
			return nil
		})
		if err != nil || string(edited.Secret.Reveal()) != "new" {
			t.Errorf("EditCredential() = %+v, %v", edited, err)
		}
	})
	if c := n.find(t, "k"); !proves(t, c, "new") || proves(t, c, "old") {
		t.Error("the old secret is in force")
	}
	moves(true, "rename", func() {
		if _, err := n.EditCredential(ctx, "k", func(r *consumer.Record) error { r.Key = "m"; return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if n.find(t, "k") != nil || !proves(t, n.find(t, "m"), "new") {
		t.Error("a secret does not move with its key")
	}
	moves(true, "groups", func() {
		if _, err := n.AddGroup(ctx, "ann", consumer.Group{Name: "device"}); err != nil {
			t.Fatal(err)
		}
	})
	finds := n.data.finds.Load()
	if c := n.find(t, "m"); !proves(t, c, "new") || !slices.Equal(c.Consumer.Groups, []string{"device"}) {
		t.Errorf("the consumer is still %+v", c.Consumer)
	}
	if got := n.data.finds.Load(); got != finds {
		t.Error("the credential was read again because its consumer has changed")
	}
	if err := n.DeleteGroup(ctx, "ann", "device"); err != nil || len(n.find(t, "m").Consumer.Groups) != 0 {
		t.Errorf("DeleteGroup() = %v", err)
	}
	moves(true, "delete", func() {
		if err := n.DeleteCredential(ctx, "m"); err != nil {
			t.Fatal(err)
		}
	})
	if n.find(t, "m") != nil {
		t.Error("a deleted credential is found")
	}
	n.add(t, "ann", "k", "s")
	n.find(t, "k")
	moves(true, "delete consumer", func() {
		if err := n.DeleteConsumer(ctx, "ann"); err != nil {
			t.Fatal(err)
		}
	})
	if n.find(t, "k") != nil {
		t.Error("a credential of a deleted consumer is found")
	}
	n.add(t, "bob", "k", "bob's")
	if c := n.find(t, "k"); !proves(t, c, "bob's") || c.Consumer.Username != "bob" {
		t.Error("a key is not free although its consumer was deleted")
	}
}

func TestFindConsumer(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	ctx := t.Context()
	ann, err := n.AddConsumer(ctx, consumer.Info{Username: "ann", CustomID: "7", Groups: []consumer.Group{{Name: "g"}}})
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) *consumer.Consumer {
		t.Helper()
		c, err := n.FindConsumer(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, name := range []string{"ann", ann.ID} {
		c := find(name)
		if c == nil || c.ID != ann.ID || c.CustomID != "7" || !slices.Equal(c.Groups, []string{"g"}) {
			t.Errorf("FindConsumer(%q) = %+v", name, c)
		}
		if find(name) != c {
			t.Errorf("%q was read again", name)
		}
	}
	for _, name := range []string{"", "7", "bob", strings.Repeat("x", 300)} {
		if c := find(name); c != nil {
			t.Errorf("FindConsumer(%q) = %+v", name, c)
		}
	}
	if _, err := n.EditConsumer(ctx, "ann", func(i *consumer.Info) error { i.Username = "bob"; return nil }); err != nil {
		t.Fatal(err)
	}
	if find("ann") != nil || find("bob") == nil || find(ann.ID).Username != "bob" {
		t.Error("the consumer is found under its old name")
	}
	if err := n.DeleteConsumer(ctx, "bob"); err != nil || find("bob") != nil || find(ann.ID) != nil {
		t.Errorf("DeleteConsumer() = %v, and it is still found", err)
	}
	wantKind(t, n.DeleteConsumer(ctx, "bob"), fault.NotFound, "")
}

func TestFollow(t *testing.T) {
	t.Parallel()
	d := openData(t)
	here, there := newNode(t, d), newNode(t, d)
	ctx := t.Context()
	step := func(what string, moves bool, do func() error, ok func() bool) {
		t.Helper()
		before := there.Generation()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		there.follow(t)
		if !ok() {
			t.Errorf("%s: the other node does not know", what)
		}
		if (there.Generation() != before) != moves {
			t.Errorf("%s: the other node's generation went from %d to %d", what, before, there.Generation())
		}
	}
	if there.find(t, "k") != nil || there.find(t, "imported") != nil {
		t.Fatal("found what is not there")
	}
	step("add", false, func() error { here.add(t, "ann", "k", "s"); return nil }, func() bool { return proves(t, there.find(t, "k"), "s") })
	step("import", false, func() error {
		_, err := here.Import(ctx, &entries{all: []consumer.Entry{credentialEntry(1, "ann", "imported", "s")}}, consumer.ImportOptions{})
		return err
	}, func() bool { return there.find(t, "imported") != nil })
	step("edit", true, func() error {
		_, err := here.EditCredential(ctx, "k", func(r *consumer.Record) error { r.Secret = secret.FromString("new"); return nil })
		return err
	}, func() bool { return proves(t, there.find(t, "k"), "new") })
	step("groups", true, func() error {
		_, err := here.AddGroup(ctx, "ann", consumer.Group{Name: "g"})
		return err
	}, func() bool { return there.find(t, "k").Consumer.GroupList() == "g" })
	step("nothing", false, func() error { return nil }, func() bool { return there.find(t, "k") != nil })
	step("delete", true, func() error { return here.DeleteCredential(ctx, "k") }, func() bool { return there.find(t, "k") == nil })
	step("delete consumer", true, func() error { return here.DeleteConsumer(ctx, "ann") }, func() bool { return there.find(t, "imported") == nil })
}

// TestFollowAfterAPause has a node miss changes whose log is deleted by then.
func TestFollowAfterAPause(t *testing.T) {
	t.Parallel()
	d := openData(t)
	here, there := newNode(t, d), newNode(t, d)
	here.add(t, "ann", "k", "old")
	there.follow(t)
	there.find(t, "k")
	there.find(t, "m")
	if _, err := here.EditCredential(t.Context(), "k", func(r *consumer.Record) error { r.Secret = secret.FromString("new"); return nil }); err != nil {
		t.Fatal(err)
	}
	here.add(t, "ann", "m", "s")
	here.add(t, "ann", "n", "s")
	if err := d.PruneChanges(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := there.Generation()
	there.follow(t)
	if !proves(t, there.find(t, "k"), "new") || there.find(t, "m") == nil || there.Generation() == before {
		t.Error("the node did not begin anew")
	}
}

// TestFollowAtLength has more changes than are read at a time.
func TestFollowAtLength(t *testing.T) {
	t.Parallel()
	d := openData(t)
	here, there := newNode(t, d), newNode(t, d)
	here.add(t, "ann", "k", "s")
	for _, value := range []string{"old", "new"} {
		src := &entries{}
		for i := range 1100 {
			src.all = append(src.all, credentialEntry(i+1, "ann", fmt.Sprintf("%04d", i), value))
		}
		if _, err := here.Import(t.Context(), src, consumer.ImportOptions{Replace: true}); err != nil {
			t.Fatal(err)
		}
		there.follow(t)
		for _, key := range []string{"0000", "1099"} {
			if !proves(t, there.find(t, key), value) {
				t.Errorf("of 1100 changes that of %s was not followed", key)
			}
		}
	}
}

func TestRegistryNeeds(t *testing.T) {
	t.Parallel()
	if _, err := consumer.NewRegistry(consumer.RegistryConfig{}); err == nil {
		t.Error("a registry without a store was made")
	}
	n := newNode(t, openData(t))
	_, err := consumer.NewRegistry(consumer.RegistryConfig{Store: n.data, Box: boxOf(t), CacheBytes: -1})
	wantKind(t, err, fault.Invalid, "credential_cache")
}

// TestCorruptSecret has a row that another master key sealed.
func TestCorruptSecret(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	n.add(t, "ann", "k", "s")
	if _, err := n.data.EditCredential(t.Context(), "k", func(r *consumer.Record) error { r.Sealed[5] ^= 1; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := n.Find(t.Context(), "k")
	wantKind(t, err, fault.Unavailable, "")
	_, err = n.Credential(t.Context(), "k")
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Credential() = %v", err)
	}
}
