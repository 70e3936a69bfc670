package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

const shopRef = "srn:vault::default:secret:shop"

// shelf is a vault that answers from memory until Refresh looks.
type shelf struct {
	mu            sync.Mutex
	has, known    map[string]string
	err           error // of the next looks
	looks, asked  int
	cannotRefresh bool // it has looked just now
}

func (s *shelf) Resolve(_ context.Context, ref string) (secret.Bytes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return secret.Bytes{}, s.err
	}
	if _, ok := s.known[ref]; !ok {
		s.look(ref)
	}
	v, ok := s.known[ref]
	if !ok {
		return secret.Bytes{}, fault.Newf(fault.NotFound, "%s is nowhere", ref)
	}
	return secret.FromString(v), nil
}

func (s *shelf) Refresh(_ context.Context, ref string, used secret.Bytes) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if !s.cannotRefresh {
		s.look(ref)
	}
	return !secret.FromString(s.known[ref]).Equal(used), nil
}

func (s *shelf) look(ref string) {
	s.looks++
	delete(s.known, ref)
	if v, ok := s.has[ref]; ok {
		s.known[ref] = v
	}
}

// put changes what the provider has; seen says that the vault has looked.
func (s *shelf) put(value string, seen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has[shopRef] = value
	if seen {
		s.look(shopRef)
	}
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// long is a value of n bytes that begins with name.
func long(name string, n int) string { return name + strings.Repeat("-", n-len(name)) }

var first, second, third = long("first", 32), long("second", 32), long("third", 40)

// withShelf is a directory with an app whose secret is first.
func withShelf(t *testing.T, r Registration) (*fixture, *shelf, *App) {
	t.Helper()
	f := open(t)
	s := &shelf{has: map[string]string{shopRef: first}, known: map[string]string{}}
	f.secrets = s
	r.Secret = "srn:vault:global:default:secret:SHOP"
	a, plain := f.add(t, r)
	if plain.Len() > 0 || len(a.Secrets) != 1 || a.Secrets[0].Ref != shopRef || a.Secrets[0].Sealed != "" || a.Secrets[0].Hash != [32]byte{} {
		t.Fatalf("Add() = %+v, a secret of %d bytes; want the SRN alone", a.Secrets, plain.Len())
	}
	found, _ := f.Find(a.ID)
	return f, s, found
}

// wantSecrets tells which of the values authenticate at now.
func (f *fixture) wantSecrets(t *testing.T, when string, a *App, want map[string]bool) {
	t.Helper()
	for plain, good := range want {
		_, err := f.Authenticate(t.Context(), a.ID, secret.FromString(plain), f.now)
		if (err == nil) != good || err != nil && fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: Authenticate(%.6s) error = %v, want good: %t", when, plain, err, good)
		}
	}
}

func TestProvidedSecretRotates(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{})
	sign := func() (token string, kid string) {
		k, err := f.SigningKey(t.Context(), a, f.now)
		if err != nil {
			t.Fatal(err)
		}
		token, err = k.Sign("JWT", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		return token, k.ID()
	}
	verifies := func(token, kid string) bool {
		var u jose.Unverified
		if err := u.Parse(token); err != nil {
			t.Fatal(err)
		}
		keys, err := f.VerificationKeys(t.Context(), a, kid, f.now)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if u.Verify(k) == nil {
				return true
			}
		}
		return false
	}
	f.wantSecrets(t, "at first", a, map[string]bool{first: true, second: false, "": false})
	token1, kid1 := sign()
	s.put(second, true)
	f.now = noon.Add(time.Hour)
	token2, kid2 := sign()
	if kid1 == kid2 || !strings.HasPrefix(kid2, a.Secrets[0].ID+".") {
		t.Errorf("kids %q and %q", kid1, kid2)
	}
	f.wantSecrets(t, "after a change", a, map[string]bool{first: true, second: true, third: false})
	if !verifies(token1, kid1) || !verifies(token2, kid2) || !verifies(token1, "") {
		t.Error("a token of one of two values is refused")
	}
	f.now = noon.Add(time.Hour + overlap - 1)
	f.wantSecrets(t, "at the end of the overlap", a, map[string]bool{first: true, second: true})
	f.now = noon.Add(time.Hour + overlap)
	f.wantSecrets(t, "after the overlap", a, map[string]bool{first: false, second: true})
	if verifies(token1, kid1) || !verifies(token2, kid2) {
		t.Error("after the overlap the old value verifies, or the new one does not")
	}
	s.put(first, true)
	f.wantSecrets(t, "when it has come back", a, map[string]bool{first: true, second: true})
	if got := len(f.values.all[a.Secrets[0].ID]); got != 2 {
		t.Errorf("%d values are kept, want 2", got)
	}
}

// Who comes with a value that is newer than what this node knows is not refused.
func TestProvidedSecretAheadOfThisNode(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{})
	f.wantSecrets(t, "at first", a, map[string]bool{first: true})
	s.put(second, false)
	f.wantSecrets(t, "shown the new value", a, map[string]bool{second: true})
	s.put(third, false)
	kid := kidOf(a.Secrets[0].ID, secret.FromString(third))
	keys, err := f.VerificationKeys(t.Context(), a, kid, f.now)
	if err != nil || len(keys) != 3 || keys[0].ID() != kid {
		t.Errorf("VerificationKeys() = %v, %v; want that of the third value, and those before", keys, err)
	}
	looks := s.looks
	for _, kid := range []string{"", "sec_other.0011", "sec_other", kid} {
		if _, err := f.VerificationKeys(t.Context(), a, kid, f.now); err != nil {
			t.Error(err)
		}
	}
	f.wantSecrets(t, "known values", a, map[string]bool{first: true, second: true, third: true})
	if s.looks != looks {
		t.Errorf("%d looks for what is known", s.looks-looks)
	}
	s.cannotRefresh = true
	fourth := long("fourth", 32)
	s.put(fourth, false)
	f.wantSecrets(t, "so soon after a look", a, map[string]bool{fourth: false, third: true})
}

// A provider that does not answer is no wrong secret, and no right one.
func TestProvidedSecretUnavailable(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err     error
		forgets bool // the values before it
	}{
		"down":    {errors.New("dial 10.0.0.7: refused"), false},
		"deleted": {fault.New(fault.NotFound, "it is nowhere"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, s, a := withShelf(t, Registration{})
			f.wantSecrets(t, "at first", a, map[string]bool{first: true})
			s.fail(tc.err)
			for _, plain := range []string{first, second} {
				got, err := f.Authenticate(t.Context(), a.ID, secret.FromString(plain), f.now)
				if public := fault.Public(err); got != nil || public.Kind != fault.Unavailable || public.RetryAfter <= 0 || !errors.Is(err, tc.err) {
					t.Errorf("Authenticate() = %v, %v", got, err)
				}
			}
			if _, err := f.SigningKey(t.Context(), a, f.now); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("SigningKey() error = %v", err)
			}
			if keys, err := f.VerificationKeys(t.Context(), a, "", f.now); fault.KindOf(err) != fault.Unavailable || keys != nil {
				t.Errorf("VerificationKeys() = %v, %v", keys, err)
			}
			if err := f.Disable(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
			f.wantSecrets(t, "disabled", a, map[string]bool{first: false})
			if err := f.Enable(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
			s.fail(nil)
			s.put(second, true)
			f.wantSecrets(t, "when it is back", a, map[string]bool{first: !tc.forgets, second: true})
		})
	}
}

// A value that is too short is used for nothing, even where there was a good one.
func TestProvidedSecretBecomesShort(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{SessionAlgorithm: jose.ES256})
	s.put("short", true)
	for _, plain := range []string{"short", first, ""} {
		if _, err := f.Authenticate(t.Context(), a.ID, secret.FromString(plain), f.now); fault.KindOf(err) != fault.Unavailable || strings.Contains(err.Error(), "short") {
			t.Errorf("Authenticate(%q) error = %v", plain, err)
		}
	}
}

// While a rotation to or from a provider overlaps, one secret does not stand in the
// other's way.
func TestProvidedBesideKept(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{})
	f.now = noon.Add(time.Minute)
	made, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	a, _ = f.Find(a.ID)
	f.wantSecrets(t, "both", a, map[string]bool{first: true, string(made.Reveal()): true, second: false})
	s.fail(errors.New("down"))
	f.wantSecrets(t, "one", a, map[string]bool{string(made.Reveal()): true})
	k, err := f.SigningKey(t.Context(), a, f.now)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := f.VerificationKeys(t.Context(), a, k.ID(), f.now); err != nil || len(keys) != 1 {
		t.Errorf("VerificationKeys() = %v, %v", keys, err)
	}
	if err := f.Unseal(a); err != nil {
		t.Errorf("Unseal() asks the provider: %v", err)
	}
	s.fail(nil)
	if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Secret: shopRef}); err != nil {
		t.Fatal(err)
	}
	a, _ = f.Find(a.ID)
	f.wantSecrets(t, "back to the provider", a, map[string]bool{first: true, string(made.Reveal()): false})
}

// Without overlap a rotation to the same SRN ends the values before, too.
func TestRotateToTheSameRef(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{})
	f.wantSecrets(t, "at first", a, map[string]bool{first: true})
	s.put(second, true)
	f.wantSecrets(t, "overlap", a, map[string]bool{first: true, second: true})
	f.now = noon.Add(time.Second)
	if plain, err := f.Rotate(t.Context(), a.ID, RotateOptions{Secret: shopRef}); err != nil || plain.Len() > 0 {
		t.Fatalf("Rotate() = %d bytes, %v", plain.Len(), err)
	}
	f.wantSecrets(t, "after the rotation", a, map[string]bool{first: false, second: true})
	if err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, kept := f.values.all[a.Secrets[0].ID]; kept || len(f.values.all) != 1 {
		t.Errorf("values of %d secrets are kept, want one", len(f.values.all))
	}
}

func TestRefRefused(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{})
	s.has["srn:vault::default:secret:short"] = long("short", 31)
	s.has["srn:vault::default:secret:long"] = long("long", 32)
	for name, tc := range map[string]struct {
		r    Registration
		says string
	}{
		"a value":         {Registration{Secret: first}, "secret: an SRN starts with"},
		"another service": {Registration{Secret: "srn:botnet::default:bot:shop"}, "secret: srn:botnet"},
		"a certificate":   {Registration{Secret: "srn:vault::default:certificate:shop"}, "does not fit here"},
		"a document":      {Registration{Secret: "srn:vault::default:secretdoc:shop"}, "does not fit here"},
		"nowhere":         {Registration{Secret: "srn:vault::default:secret:none"}, "secret: srn:vault::default:secret:none is nowhere"},
		"short":           {Registration{Secret: "srn:vault::default:secret:short"}, "at least 32 bytes"},
		"short for HS512": {Registration{Secret: "srn:vault::default:secret:long", SessionAlgorithm: jose.HS512}, "at least 64 bytes"},
		"a public app":    {Registration{Secret: shopRef, Public: true}, "secret: cannot be named for a public app"},
	} {
		tc.r.Name = name
		if _, _, err := f.Add(t.Context(), tc.r); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Add() error = %v, want %q", name, err, tc.says)
		}
	}
	o := RotateOptions{Secret: "srn:vault::default:secret:short"}
	if _, err := f.Rotate(t.Context(), a.ID, o); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Rotate() error = %v", err)
	}
	if _, err := f.Rotation(t.Context(), a.ID, o); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Rotation() error = %v", err)
	}
	shown, err := f.Rotation(t.Context(), a.ID, RotateOptions{Secret: shopRef})
	if err != nil || shown[len(shown)-1].Ref != shopRef {
		t.Errorf("Rotation() = %+v, %v", shown, err)
	}
	if err := f.Set(t.Context(), a.ID, func(r *Registration) { r.Secret = shopRef }); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Set() error = %v", err)
	}
	if got := f.SecretRefs(); len(got) != 1 || got[0] != shopRef {
		t.Errorf("SecretRefs() = %v", got)
	}
	if got := len(f.store.apps); got != 1 {
		t.Errorf("%d apps are stored, want the first", got)
	}
}

// However often a provider changes its mind, memory is bounded.
func TestProvidedValuesAreBounded(t *testing.T) {
	t.Parallel()
	f, s, a := withShelf(t, Registration{})
	for i := range 3 * maxSecrets {
		s.put(long(fmt.Sprint("value ", i), 32), true)
		if _, err := f.SigningKey(t.Context(), a, f.now); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(f.values.all[a.Secrets[0].ID]); got != maxSecrets {
		t.Errorf("%d values are kept, want %d", got, maxSecrets)
	}
}

// A node that nobody asks sees a change all the same: the overlap is counted from then.
func TestRunSeesChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, s, a := withShelf(t, Registration{})
		start := time.Now()
		f.clock = func() time.Time { return noon.Add(time.Since(start)) }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		s.put(second, true)
		time.Sleep(watchEvery + overlap + time.Second)
		f.now = f.clock()
		f.wantSecrets(t, "long after", a, map[string]bool{first: false, second: true})
		s.fail(errors.New("down"))
		time.Sleep(2*watchEvery + time.Second)
		asked := s.calls()
		if err := f.Disable(t.Context(), a.ID); err != nil {
			t.Error(err)
		}
		time.Sleep(2*watchEvery + time.Second)
		if s.calls() != asked {
			t.Error("the secret of a disabled app is looked for")
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}
