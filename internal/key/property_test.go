package key

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// TestRotationRefusesNobody lives through random years of rotations, retirements
// and revocations. At every instant each algorithm signs; what was signed verifies
// with the keys published then until its verification time is over, unless its key
// was revoked; and who looked at the published set less than publish-ahead ago can
// verify what is signed, as long as nobody forces the pace.
func TestRotationRefusesNobody(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		calm := seed%3 == 0 // only planned rotations
		b := newBench(t, access())
		random := rand.New(rand.NewPCG(seed, 7))
		l := &life{bench: b, revoked: map[string]bool{}}
		for range 150 {
			l.step(random, calm)
		}
		if l.checked < 100 {
			t.Errorf("seed %d: only %d tokens were checked", seed, l.checked)
		}
	}
}

type life struct {
	*bench
	tokens  []signed
	seen    []sighting
	revoked map[string]bool
	checked int
	last    uint64
}

type signed struct {
	token string
	kid   string
	at    time.Time
}

// sighting is a published set as a verifier fetched it.
type sighting struct {
	at   time.Time
	kids []string
}

func (l *life) step(random *rand.Rand, calm bool) {
	l.t.Helper()
	spec := access()
	l.pass([]time.Duration{
		0, time.Millisecond, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 24*time.Hour - time.Millisecond, 30 * 24 * time.Hour,
	}[random.IntN(8)])
	l.act(random, calm)
	now := l.clock()
	if g := l.Generation(); g < l.last {
		l.t.Fatalf("the generation went from %d to %d", l.last, g)
	} else {
		l.last = g
	}
	var kids []string
	published := map[string]*jose.Key{}
	for _, k := range l.Published("access", now) {
		kids = append(kids, k.ID())
		published[k.ID()] = k
	}
	for _, alg := range spec.Algorithms {
		s := l.sign(alg, now)
		l.tokens = append(l.tokens, s)
		if !calm {
			continue
		}
		for _, set := range l.seen {
			if now.Sub(set.at) < spec.PublishAhead && !slices.Contains(set.kids, s.kid) {
				l.t.Fatalf("%v: a verifier that looked %v ago does not know %s", now, now.Sub(set.at), s.kid)
			}
		}
	}
	l.seen = append(l.seen, sighting{now, kids})
	l.tokens = slices.DeleteFunc(l.tokens, func(s signed) bool { return now.Sub(s.at) >= spec.Verification })
	for _, s := range l.tokens {
		k := published[s.kid]
		switch {
		case l.revoked[s.kid] && k != nil:
			l.t.Fatalf("the revoked %s is published", s.kid)
		case !l.revoked[s.kid] && (k == nil || !verifies(k, s.token)):
			l.t.Fatalf("a token of %v does not verify at %v", s.at, now)
		default:
			l.checked++
		}
	}
}

// act does one thing that an operator or the ticker may do.
func (l *life) act(random *rand.Rand, calm bool) {
	l.t.Helper()
	keys := l.List("access")
	kid := keys[random.IntN(len(keys))].Public.ID()
	var err error
	switch n := random.IntN(10); {
	case n < 4:
		err = l.RotateDue(l.t.Context())
	case n < 5:
		err = l.Rotate(l.t.Context(), "access", RotateOptions{})
	case calm:
	case n < 6:
		err = l.Rotate(l.t.Context(), "access", RotateOptions{Now: true, Algorithm: jose.ES256})
	case n < 7:
		err = l.Retire(l.t.Context(), kid)
	case n < 8:
		if err = l.Revoke(l.t.Context(), kid); err == nil {
			l.revoked[kid] = true
		}
	}
	if err != nil && fault.KindOf(err) != fault.Conflict {
		l.t.Fatal(err)
	}
}

func (l *life) sign(alg jose.Algorithm, now time.Time) signed {
	l.t.Helper()
	token, err := l.Sign(l.t.Context(), "access", alg, "", []byte(`{"sub":"a"}`))
	l.must(err)
	for _, k := range l.Published("access", now) {
		if verifies(k, token) {
			return signed{token, k.ID(), now}
		}
	}
	l.t.Fatalf("%s signed with a key that is not published", alg)
	return signed{}
}
