package revocation

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// targets has one of each kind, which all name the sample.
var targets = []Target{
	{Kind: ByToken, Name: "jti-1"},
	{Kind: BySubject, Issuer: "mobilev2-dev-1-1780315140000", Name: "ann"},
	{Kind: ByApp, Name: "shop"},
	{Kind: ByIssuer, Name: "mobilev2-dev-1-1780315140000"},
	{Kind: ByIssuer, Name: "mobilev2"},
	{Kind: ByDevice, Issuer: "mobilev2", Name: "dev-1"},
	{Kind: ByCredential, Name: "cred-1"},
	{Kind: ByKey, Name: "kid-1"},
}

func TestEachKind(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		t.Run(target.Kind.String()+" "+target.Name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			if f.Revoked(sample()) {
				t.Fatal("revoked by an empty list")
			}
			e := f.add(t, Draft{Target: target})
			if !f.Revoked(sample()) {
				t.Error("the token is not revoked")
			}
			later := sample()
			later.IssuedAt = noon
			if got := f.Revoked(later); got == target.Kind.Dated() {
				t.Errorf("a token issued at the moment is revoked: %t", got)
			}
			undated := sample()
			undated.IssuedAt = time.Time{}
			if !f.Revoked(undated) {
				t.Error("a token that does not say when it was issued is not revoked")
			}
			if _, err := f.Remove(t.Context(), e.ID); err != nil {
				t.Fatal(err)
			}
			if f.Revoked(sample()) || f.Len() != 0 {
				t.Errorf("revoked after the entry was removed; %d entries are left", f.Len())
			}
		})
	}
}

// TestSignIn takes all tokens of a sign-in back, and no other's.
func TestSignIn(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.add(t, Draft{Target: Target{Kind: ByToken, Name: "s1"}})
	for name, tc := range map[string]struct {
		token Token
		want  bool
	}{
		"one of it":      {Token{ID: "s1.a", SignIn: "s1"}, true},
		"another of it":  {Token{ID: "s1.b", SignIn: "s1"}, true},
		"of another":     {Token{ID: "s2.a", SignIn: "s2"}, false},
		"of none":        {Token{ID: "a"}, false},
		"a longer name":  {Token{ID: "s11.a", SignIn: "s11"}, false},
		"the very same":  {Token{ID: "s1"}, true},
		"its subject's":  {Token{Subject: "s1"}, false},
		"behind the dot": {Token{ID: "a.s1", SignIn: "a"}, false},
		"nothing at all": {Token{}, false},
	} {
		if got := f.Revoked(tc.token); got != tc.want {
			t.Errorf("%s: revoked %t, want %t", name, got, tc.want)
		}
	}
}

// TestPassedOn takes a token back that was exchanged, twice, for others.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.add(t, Draft{Target: Target{Kind: ByToken, Name: "s1.a"}})
	for id, want := range map[string]bool{
		"s1.a": true, "s1.a.b": true, "s1.a.b.c": true, "s1": false, "s1.b": false, "s1.ab.c": false, "s1.b.s1.a": false, "s1.b.c": false,
		"s1.a" + strings.Repeat(".x", 1000): false, // nobody passes a token on so often
	} {
		if got := f.Revoked(Token{ID: id, SignIn: "s1"}); got != want {
			t.Errorf("%s: revoked %t, want %t", id, got, want)
		}
	}
}

// TestNeighbours has, for each entry, tokens that are almost the one it names.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		f := open(t)
		f.add(t, Draft{Target: target})
		for name, edit := range map[string]func(*Token){
			"another token": func(t *Token) {
				*t = Token{
					ID: "jti-2", Issuer: "mobilev3-dev-2-1780315140000", Subject: "bob", App: "shop2", Prefix: "mobilev3", Device: "dev-2",
					Credential: "cred-2", KeyID: "kid-2", IssuedAt: t.IssuedAt,
				}
			},
			"names in the places of others": func(t *Token) {
				*t = Token{
					ID: "shop", Issuer: "ann", Subject: "mobilev2", App: "jti-1", Prefix: "dev-1", Device: "mobilev2",
					Credential: "kid-1", KeyID: "cred-1", IssuedAt: t.IssuedAt,
				}
			},
			"the same subject of another issuer":   func(t *Token) { *t = Token{Issuer: "https://other", Subject: "ann"} },
			"the same device of another prefix":    func(t *Token) { *t = Token{Prefix: "mobilev3", Device: "dev-1"} },
			"parts that are the same put together": func(t *Token) { *t = Token{Prefix: "mobilev2d", Device: "ev-1"} },
			"nothing":                              func(t *Token) { *t = Token{} },
		} {
			token := sample()
			edit(&token)
			if f.Revoked(token) {
				t.Errorf("%v %s revokes %s", target.Kind, target.Name, name)
			}
		}
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	user := Target{Kind: BySubject, Issuer: "https://i", Name: "ann"}
	jti := Target{Kind: ByToken, Name: "j"}
	past := noon.Add(-time.Hour)
	for name, tc := range map[string]struct {
		draft           Draft
		before, expires time.Time
	}{
		"a subject, until somebody removes it":   {Draft{Target: user}, noon, time.Time{}},
		"a subject, from earlier on":             {Draft{Target: user, Before: past}, past, time.Time{}},
		"a moment between two milliseconds":      {Draft{Target: user, Before: past.Add(1)}, past.Add(time.Millisecond), time.Time{}},
		"with an end":                            {Draft{Target: user, Expires: noon.Add(time.Hour)}, noon, noon.Add(time.Hour)},
		"a token, for the longest that it lives": {Draft{Target: jti}, time.Time{}, noon.Add(16 * time.Minute)},
		"a token for ever":                       {Draft{Target: jti, Forever: true}, time.Time{}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			tc.draft.Reason, tc.draft.By = "why", "who"
			got := f.add(t, tc.draft)
			want := Entry{
				ID: 1, Target: tc.draft.Target, Before: tc.before, Expires: tc.expires, Created: noon, Reason: "why", By: "who",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Add() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAddAgain: revoking wider or narrower never lets go what was refused.
func TestAddAgain(t *testing.T) {
	t.Parallel()
	target := Target{Kind: ByCredential, Name: "cred-1"}
	f := open(t)
	f.add(t, Draft{Target: target, Expires: noon.Add(time.Hour)})
	f.clock.pass(time.Minute)
	e := f.add(t, Draft{Target: target, Before: noon.Add(-time.Hour), Expires: noon.Add(10 * time.Minute)})
	if !e.Before.Equal(noon) || !e.Expires.Equal(noon.Add(time.Hour)) || f.Len() != 1 {
		t.Errorf("before %v, expires %v, %d entries; want the later of both, in one", e.Before, e.Expires, f.Len())
	}
	e = f.add(t, Draft{Target: target, Forever: true})
	if !e.Expires.IsZero() || !e.Before.Equal(f.clock.read()) {
		t.Errorf("before %v, expires %v; want now and never", e.Before, e.Expires)
	}
	if e = f.add(t, Draft{Target: target, Expires: noon.Add(time.Hour)}); !e.Expires.IsZero() {
		t.Errorf("expires %v after it never did", e.Expires)
	}
}

// TestAddAfterTheEnd: what has expired does not count any more.
func TestAddAfterTheEnd(t *testing.T) {
	t.Parallel()
	target := Target{Kind: ByCredential, Name: "cred-1"}
	f := open(t)
	f.add(t, Draft{Target: target, Expires: noon.Add(time.Hour)})
	f.clock.pass(time.Hour)
	if e := f.add(t, Draft{Target: target, Before: noon.Add(-time.Hour)}); !e.Before.Equal(noon.Add(-time.Hour)) {
		t.Errorf("before %v, want the moment that was asked for", e.Before)
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.add(t, Draft{Target: targets[0]})
	follow(t, f.List)
	out := fault.New(fault.Unavailable, "the store is not available")
	f.store.breaks(out)
	if _, err := f.Add(t.Context(), Draft{Target: targets[2]}); !errors.Is(err, out) {
		t.Errorf("Add() error = %v", err)
	}
	if err := f.Follow(t.Context()); !errors.Is(err, out) {
		t.Errorf("Follow() error = %v", err)
	}
	if _, err := f.Entries(t.Context(), 0, 0, 1); !errors.Is(err, out) {
		t.Errorf("Entries() error = %v", err)
	}
	if !f.Revoked(sample()) || f.Len() != 1 {
		t.Errorf("%d entries, want the one known before", f.Len())
	}
	if _, err := f.Remove(t.Context(), 77); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Remove() of an unknown one: %v", err)
	}
}

// TestExpiry: an entry refuses up to its end, and then leaves memory.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Store: &memory{}})
		for i := range 1000 {
			d := Draft{Target: Target{Kind: ByToken, Name: fmt.Sprint("jti-", i)}, Expires: time.Now().Add(time.Minute)}
			if i == 2 {
				d.Expires, d.Forever = time.Time{}, true
			}
			if _, err := l.Add(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute - time.Millisecond)
		if !l.Revoked(sample()) {
			t.Error("not revoked a millisecond before the end")
		}
		time.Sleep(time.Millisecond)
		if l.Revoked(sample()) {
			t.Error("revoked at the end")
		}
		epoch := l.Epoch()
		for range numShards { // the first reads all entries again
			time.Sleep(time.Second)
			follow(t, l)
		}
		if n := l.Len(); n != 1 {
			t.Errorf("%d entries are left, want the one without an end", n)
		}
		if got := l.Epoch(); got > epoch+1 {
			t.Errorf("the epoch moved by %d: what expires makes nobody look again", got-epoch)
		}
		if !l.Revoked(Token{ID: "jti-2"}) {
			t.Error("what has no end is gone")
		}
	})
}

// TestFollow: one node changes, another sees it when it follows.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := f.beside()
	follow(t, other)
	step := func(what string, change func(), want bool) {
		t.Helper()
		epoch := other.Epoch()
		change()
		follow(t, other)
		if got := other.Revoked(sample()); got != want {
			t.Errorf("%s: the other node has it revoked: %t", what, got)
		}
		if other.Epoch() == epoch {
			t.Errorf("%s: the other node's epoch stands", what)
		}
		if f.Revoked(sample()) != want {
			t.Errorf("%s: not so on this node", what)
		}
	}
	var e Entry
	step("added", func() { e = f.add(t, Draft{Target: targets[2]}) }, true)
	step("added by another name", func() { e = f.add(t, Draft{Target: targets[0]}) }, true)
	step("the second removed", func() { _, _ = f.Remove(t.Context(), e.ID) }, true)
	step("the first removed", func() { _, _ = f.Remove(t.Context(), 1) }, false)
	step("added again", func() { e = f.add(t, Draft{Target: targets[2]}) }, true)

	epoch, reads := other.Epoch(), f.store.reads
	follow(t, other)
	if other.Epoch() != epoch || f.store.reads != reads+1 {
		t.Errorf("nothing has changed: epoch moved by %d, %d reads", other.Epoch()-epoch, f.store.reads-reads)
	}
}

// TestFollowAfterALongTime: a removal that the store has forgotten is noticed.
func TestFollowAfterALongTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := f.beside()
	keep := f.add(t, Draft{Target: targets[2], Forever: true})
	gone := f.add(t, Draft{Target: targets[0], Forever: true})
	follow(t, other)
	if _, err := f.Remove(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	f.clock.pass(removedLife + time.Minute)
	f.store.forget(f.clock.read())
	follow(t, other)
	if other.Revoked(Token{ID: "jti-1"}) || other.Len() != 1 {
		t.Error("the other node still has the entry that was removed")
	}
	if !other.Revoked(sample()) {
		t.Errorf("the other node lost entry %d", keep.ID)
	}
}

func TestFollowReadsManyPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n = 2*pageSize + 1
	for i := range n {
		f.store.entries = append(f.store.entries, Entry{ID: int64(i + 1), Target: Target{Kind: ByToken, Name: fmt.Sprint(i)}})
	}
	other := f.beside()
	follow(t, other)
	if other.Len() != n || !other.Revoked(Token{ID: fmt.Sprint(n - 1)}) {
		t.Errorf("%d entries, want %d", other.Len(), n)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, target := range targets {
		f.add(t, Draft{Target: target})
	}
	f.add(t, Draft{Target: Target{Kind: ByKey, Name: "short"}, Expires: noon.Add(time.Second)})
	if _, err := f.Remove(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	f.clock.pass(time.Second)
	for name, tc := range map[string]struct {
		kind  Kind
		after int64
		limit int
		want  []int64
	}{
		"all":           {0, 0, 100, []int64{1, 2, 4, 5, 6, 7, 8}},
		"the first two": {0, 0, 2, []int64{1, 2}},
		"the next two":  {0, 2, 2, []int64{4, 5}},
		"of a kind":     {ByIssuer, 0, 100, []int64{4, 5}},
		"of none":       {ByApp, 0, 100, nil},
		"behind all":    {0, 100, 100, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := f.Entries(t.Context(), tc.kind, tc.after, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, e := range found {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Entries() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnderTraffic checks tokens while entries come and go. What a change has returned
// for is seen by every check that begins later, and the epoch has moved by then.
func TestUnderTraffic(t *testing.T) {
	t.Parallel()
	f := open(t)
	var stop atomic.Bool
	var checks sync.WaitGroup
	f.add(t, Draft{Target: Target{Kind: ByKey, Name: "always"}})
	for range 4 {
		checks.Go(func() {
			for !stop.Load() {
				if !f.Revoked(Token{KeyID: "always"}) {
					t.Error("an entry was gone for a moment")
				}
				if f.Revoked(Token{KeyID: "never", ID: "never"}) {
					t.Error("a token was revoked that nothing names")
				}
				if err := f.Follow(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var changes sync.WaitGroup
	for w := range 4 {
		changes.Go(func() {
			for i := range 100 {
				id := fmt.Sprint(w, "/", i)
				epoch := f.Epoch()
				e, err := f.Add(t.Context(), Draft{Target: Target{Kind: ByToken, Name: id}})
				if err != nil || !f.Revoked(Token{ID: id}) || f.Epoch() == epoch {
					t.Errorf("added %s: error %v, revoked %t", id, err, f.Revoked(Token{ID: id}))
				}
				if i%2 == 0 {
					continue
				}
				if _, err := f.Remove(t.Context(), e.ID); err != nil || f.Revoked(Token{ID: id}) {
					t.Errorf("removed %s: error %v", id, err)
				}
			}
		})
	}
	changes.Wait()
	stop.Store(true)
	checks.Wait()
	if n := f.Len(); n != 201 {
		t.Errorf("%d entries are left, want 201", n)
	}
}
