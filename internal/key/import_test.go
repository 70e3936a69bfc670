package key

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// foreign makes private keys of another installation under the kids given.
func foreign(t *testing.T, alg jose.Algorithm, kids ...string) []*jose.Key {
	t.Helper()
	keys := make([]*jose.Key, len(kids))
	for i, kid := range kids {
		k, err := jose.Generate(alg, kid)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	return keys
}

func numbered(from, to int) (kids []string) {
	for n := from; n <= to; n++ {
		kids = append(kids, fmt.Sprintf("mobilev2_key%d", n))
	}
	return kids
}

// fresh is a bench whose set has no keys yet.
func fresh(t *testing.T, specs ...Spec) *bench {
	t.Helper()
	b := &bench{t: t, store: &memory{}, now: epoch}
	b.Ring = b.another(masterKey(t, 1), specs...)
	return b
}

// signers are the kids that sign, in order, each about as often as the others.
func (b *bench) signers(name SetName, alg jose.Algorithm) []string {
	b.t.Helper()
	const tokens = 300
	seen := map[string]int{}
	for range tokens {
		seen[b.signedBy(name, alg)]++
	}
	var kids []string
	for _, k := range b.List(name) {
		if kid := k.Public.ID(); seen[kid] > 0 {
			kids = append(kids, kid)
		}
	}
	mean := tokens / len(seen)
	for kid, n := range seen { // give or take eight standard deviations
		if (n-mean)*(n-mean) > 64*mean {
			b.t.Errorf("%s signed %d of %d among %d keys", kid, n, tokens, len(seen))
		}
	}
	return kids
}

func TestImportedKeysSignAndVerify(t *testing.T) {
	t.Parallel()
	spec := device()
	spec.Active = 2
	b := fresh(t, spec)
	keys := foreign(t, jose.ES256, numbered(3, 11)...)
	old, err := keys[0].Sign("", []byte(`{"iss":"a"}`))
	b.must(err)
	slices.Reverse(keys) // the order of the files does not matter
	added, err := b.Import(t.Context(), spec.Name, ImportOptions{}, keys...)
	b.must(err)
	if len(added) != len(keys) {
		t.Errorf("%d keys were added, want %d", len(added), len(keys))
	}
	b.must(b.Ensure(t.Context()))
	if got := len(b.List(spec.Name)); got != len(keys) {
		t.Errorf("the set has %d keys, want the %d imported ones", got, len(keys))
	}
	if got, want := b.signers(spec.Name, jose.ES256), numbered(10, 11); !slices.Equal(got, want) {
		t.Errorf("%v sign, want %v", got, want)
	}
	b.pass(1e6 * time.Hour)
	verified := false
	for _, k := range b.Published(spec.Name, b.clock()) {
		verified = verified || verifies(k, old)
	}
	if !verified {
		t.Error("a token of the old installation does not verify")
	}
	// the next number is free, and the oldest signer gives way to it
	b.must(b.Rotate(t.Context(), spec.Name, RotateOptions{Now: true}))
	if got, want := b.signers(spec.Name, jose.ES256), numbered(11, 12); !slices.Equal(got, want) {
		t.Errorf("%v sign after a rotation, want %v", got, want)
	}
}

func TestImportIsTakenOverByOthers(t *testing.T) {
	t.Parallel()
	b := fresh(t, device())
	keys := foreign(t, jose.ES256, numbered(1, 1)...)
	_, err := b.Import(t.Context(), "mobile_device", ImportOptions{}, keys...)
	b.must(err)
	other := b.another(masterKey(t, 1), device())
	b.must(other.Ensure(t.Context()))
	token, err := other.Sign(t.Context(), "mobile_device", "", "", []byte(`{}`))
	b.must(err)
	if !verifies(keys[0].Public(), token) {
		t.Error("another node signs with another key")
	}
}

func TestImportAgainAddsNothing(t *testing.T) {
	t.Parallel()
	spec := device()
	spec.Active = 3
	b := fresh(t, spec)
	keys := foreign(t, jose.ES256, numbered(1, 3)...)
	_, err := b.Import(t.Context(), spec.Name, ImportOptions{}, keys[:2]...)
	b.must(err)
	added, err := b.Import(t.Context(), spec.Name, ImportOptions{}, append(keys, keys...)...)
	b.must(err)
	if len(added) != 1 || added[0].Public.ID() != "mobilev2_key3" {
		t.Errorf("added %v, want the third key alone", added)
	}
}

func TestImportVerifyOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, device()) // it has mobilev2_key1
	b.pass(time.Hour)
	keys := foreign(t, jose.ES256, numbered(2, 4)...)
	added, err := b.Import(t.Context(), "mobile_device", ImportOptions{VerifyOnly: true}, keys...)
	b.must(err)
	for _, k := range added {
		if got := k.State(b.clock()); got != Retiring {
			t.Errorf("%s is %s, want retiring", k.Public.ID(), got)
		}
	}
	if got, want := b.signers("mobile_device", jose.ES256), numbered(1, 1); !slices.Equal(got, want) {
		t.Errorf("%v sign, want %v", got, want)
	}
	if got := len(b.Published("mobile_device", b.clock())); got != 4 {
		t.Errorf("%d keys verify, want 4", got)
	}
}

func TestImportDryRun(t *testing.T) {
	t.Parallel()
	b := fresh(t, device())
	keys := foreign(t, jose.ES256, numbered(1, 2)...)
	added, err := b.Import(t.Context(), "mobile_device", ImportOptions{DryRun: true}, keys...)
	b.must(err)
	if len(added) != 2 || added[0].State(b.clock()) != Retiring || added[1].State(b.clock()) != Active {
		t.Errorf("it would add %v", added)
	}
	if len(b.List("mobile_device")) != 0 || len(b.store.keys) != 0 {
		t.Error("a dry run saved something")
	}
	_, err = b.Import(t.Context(), "mobile_device", ImportOptions{DryRun: true}, foreign(t, jose.EdDSA, numbered(1, 1)...)...)
	b.wantKind(err, fault.Invalid)
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	plain := access()
	plain.Name = "plain"
	for name, tc := range map[string]struct {
		set  SetName
		keys func(*bench) []*jose.Key
		want fault.Kind
	}{
		"unknown set":       {"nobody", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key5") }, fault.NotFound},
		"public key":        {"mobile_device", func(b *bench) []*jose.Key { return []*jose.Key{foreign(b.t, jose.ES256, "mobilev2_key5")[0].Public()} }, fault.Invalid},
		"secret":            {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.HS256, "mobilev2_key5") }, fault.Invalid},
		"other algorithm":   {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES384, "mobilev2_key5") }, fault.Invalid},
		"other prefix":      {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "desktop_key5") }, fault.Invalid},
		"no number":         {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key") }, fault.Invalid},
		"number zero":       {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key0") }, fault.Invalid},
		"padded number":     {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key05") }, fault.Invalid},
		"negative":          {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key-5") }, fault.Invalid},
		"name for a print":  {"plain", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "k") }, fault.Invalid},
		"a kid that is had": {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key1") }, fault.Conflict},
		"a kid twice":       {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key5", "mobilev2_key5") }, fault.Conflict},
		"a key twice": {"mobile_device", func(b *bench) []*jose.Key {
			k := foreign(b.t, jose.ES256, "mobilev2_key5")[0]
			again, err := k.WithID("mobilev2_key6")
			b.must(err)
			return []*jose.Key{k, again}
		}, fault.Conflict},
		"a key of another set": {"mobile_device", func(b *bench) []*jose.Key {
			k := foreign(b.t, jose.ES256, "")[0]
			_, err := b.Import(b.t.Context(), "plain", ImportOptions{}, k)
			b.must(err)
			again, err := k.WithID("mobilev2_key5")
			b.must(err)
			return []*jose.Key{again}
		}, fault.Conflict},
		"the last of several": {"mobile_device", func(b *bench) []*jose.Key { return foreign(b.t, jose.ES256, "mobilev2_key5", "x") }, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, device(), plain)
			keys := tc.keys(b)
			before := len(b.store.keys)
			added, err := b.Import(t.Context(), tc.set, ImportOptions{}, keys...)
			b.wantKind(err, tc.want)
			if len(added) != 0 || len(b.store.keys) != before {
				t.Errorf("it added %v", added)
			}
		})
	}
	b := newBench(t, device())
	_, err := b.another(nil, device()).Import(t.Context(), "mobile_device", ImportOptions{}, foreign(t, jose.ES256, "mobilev2_key5")...)
	b.wantKind(err, fault.Denied)
}
