package key

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// several is a device set of three keys at a time.
func several() Spec {
	s := device()
	s.Active, s.Rotation = 3, 30*24*time.Hour
	return s
}

func (b *bench) wantSigners(kids ...string) {
	b.t.Helper()
	if got := b.signers("mobile_device", jose.ES256); !slices.Equal(got, kids) {
		b.t.Errorf("%v sign, want %v", got, kids)
	}
}

func TestSeveralSignByTurnsOfChance(t *testing.T) {
	t.Parallel()
	b := newBench(t, several())
	b.wantSigners(numbered(1, 3)...)
	b.must(b.RotateDue(t.Context()))
	b.wantSigners(numbered(1, 3)...)
	fewer := several()
	fewer.Active = 1
	r := b.another(masterKey(t, 1), fewer)
	b.must(r.RotateDue(t.Context()))
	b.Ring = r
	b.wantSigners(numbered(3, 3)...) // the newest
}

func TestMoreKeysArePublishedAhead(t *testing.T) {
	t.Parallel()
	b := newBench(t, device())
	b.pass(time.Hour)
	b.Ring = b.another(masterKey(t, 1), several())
	b.must(b.RotateDue(t.Context()))
	b.must(b.RotateDue(t.Context()))
	if got := b.states("mobile_device", jose.ES256); !slices.Equal(got, []State{Active, Pending, Pending}) {
		t.Fatalf("states are %v", got)
	}
	b.wantSigners(numbered(1, 1)...)
	b.pass(10 * time.Minute)
	b.wantSigners(numbered(1, 3)...)
}

// TestRotationOfSeveral raises the number of the first key that signs by one.
func TestRotationOfSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t, several())
	b.pass(time.Hour)
	b.must(b.Rotate(t.Context(), "mobile_device", RotateOptions{}))
	b.wantKind(b.Rotate(t.Context(), "mobile_device", RotateOptions{}), fault.Conflict)
	b.wantSigners(numbered(1, 3)...)
	b.pass(10 * time.Minute)
	b.wantSigners(numbered(2, 4)...)
	b.must(b.Rotate(t.Context(), "mobile_device", RotateOptions{Now: true}))
	b.wantSigners(numbered(3, 5)...)
	if got := len(b.Published("mobile_device", b.clock())); got != 5 {
		t.Errorf("%d keys verify, want all 5", got)
	}
}

func TestDueRotationOfSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t, several())
	due := func(after time.Duration, want ...State) {
		t.Helper()
		b.pass(after)
		b.must(b.RotateDue(t.Context()))
		b.must(b.RotateDue(t.Context()))
		if got := b.states("mobile_device", jose.ES256); !slices.Equal(got, want) {
			t.Fatalf("states are %v, want %v", got, want)
		}
	}
	due(10*24*time.Hour, Active, Active, Active)
	b.must(b.Rotate(t.Context(), "mobile_device", RotateOptions{Now: true}))
	due(20*24*time.Hour-10*time.Minute-time.Millisecond, Retiring, Active, Active, Active)
	due(time.Millisecond, Retiring, Active, Active, Active, Pending, Pending) // those two are as old
	due(10*time.Minute, Retiring, Retiring, Retiring, Active, Active, Active)
	b.wantSigners(numbered(4, 6)...)
}

func TestLossOfOneOfSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t, several())
	b.pass(time.Hour)
	b.must(b.Revoke(t.Context(), "mobilev2_key2"))
	b.wantSigners("mobilev2_key1", "mobilev2_key3")
	b.pass(10 * time.Minute)
	b.wantSigners("mobilev2_key1", "mobilev2_key3", "mobilev2_key4") // published ahead, as two went on

	b.must(b.Rotate(t.Context(), "mobile_device", RotateOptions{}))
	b.must(b.Revoke(t.Context(), "mobilev2_key5")) // the successor
	b.pass(time.Hour)
	b.wantSigners("mobilev2_key1", "mobilev2_key3", "mobilev2_key4")

	for _, kid := range []string{"mobilev2_key1", "mobilev2_key3"} {
		b.must(b.Retire(t.Context(), kid))
	}
	b.wantSigners("mobilev2_key4")
	b.wantKind(b.Retire(t.Context(), "mobilev2_key4"), fault.Conflict)
	b.must(b.RotateDue(t.Context()))
	b.pass(10 * time.Minute)
	b.wantSigners("mobilev2_key4", "mobilev2_key6", "mobilev2_key7")
}

// TestSeveralNeverLackASigner lives through rotations and losses: something signs
// at each instant, never more keys than the set has, and what is not revoked verifies.
func TestSeveralNeverLackASigner(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		b, random := newBench(t, several()), rand.New(rand.NewPCG(seed, 11))
		var token string
		for range 120 {
			b.pass([]time.Duration{0, time.Minute, 10 * time.Minute, 24 * time.Hour, 31 * 24 * time.Hour}[random.IntN(5)])
			keys := b.List("mobile_device")
			kid := keys[len(keys)-1-random.IntN(min(4, len(keys)))].Public.ID()
			var err error
			switch random.IntN(6) {
			case 0:
				err = b.Revoke(t.Context(), kid)
			case 1:
				err = b.Retire(t.Context(), kid)
			case 2:
				err = b.Rotate(t.Context(), "mobile_device", RotateOptions{Now: random.IntN(2) == 0})
			default:
				err = b.RotateDue(t.Context())
			}
			if err != nil && fault.KindOf(err) != fault.Conflict {
				t.Fatal(err)
			}
			active := 0
			for _, state := range b.states("mobile_device", jose.ES256) {
				if state == Active {
					active++
				}
			}
			if active < 1 || active > 3 {
				t.Fatalf("seed %d: %d keys sign", seed, active)
			}
			token, err = b.Sign(t.Context(), "mobile_device", "", "", []byte(`{}`))
			b.must(err)
			if !slices.ContainsFunc(b.Published("mobile_device", b.clock()), func(k *jose.Key) bool { return verifies(k, token) }) {
				t.Fatalf("seed %d: signed by a key that is not published", seed)
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	s := &set{signers: map[string]signer{}}
	for range 10 {
		k, err := jose.Generate(jose.ES256, "")
		if err != nil {
			b.Fatal(err)
		}
		s.keys = append(s.keys, Key{Public: k.Public(), Active: epoch})
		s.signers[k.ID()] = &local{key: k}
	}
	b.ReportAllocs()
	for b.Loop() {
		if s.draw(jose.ES256, 10, epoch) == nil {
			b.Fatal("none signs")
		}
	}
}
