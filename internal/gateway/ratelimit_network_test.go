package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// byHeaderAddr takes the client's address from a header, so that a test can be many.
func byHeaderAddr(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(r.Header.Get("X-From"))
	return a
}

// besieged starts a gateway that looks at three bad tokens of a network a minute.
func besieged(t *testing.T, cache *carnet.Cache) (func(from, token string) answer, *dial) {
	t.Helper()
	d := newDial()
	c := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}})
	c.RefusedPerIP = limit.Rate{N: 3, Per: time.Minute}
	_, server := newGateway(t, Options{Config: c, Clock: d.now, Cache: cache, ClientAddr: byHeaderAddr})
	return func(from, token string) answer {
		lines := []string{"X-From: " + from}
		if token != "" {
			lines = append(lines, "Authorization: Bearer "+token)
		}
		return call(t, server, "GET", "/demo", lines...)
	}, d
}

// forged is a device's token with a good form and a bad signature.
func forged(n int) string {
	token := []byte(deviceToken(fmt.Sprintf("mobilev2-d%d-1591600000000", n), nil))
	token[len(token)-10] ^= 1
	return string(token)
}

func TestRefusedPerIP(t *testing.T) {
	t.Parallel()
	ask, clock := besieged(t, carnet.NewCache(1<<20))
	good, fresh := deviceToken("mobilev2-a-1591600000000", nil), deviceToken("mobilev2-b-1591600000000", nil)
	const here, neighbour, elsewhere = "2001:db8::1", "2001:db8::2:2", "2001:db8:0:1::1"
	if a := ask(here, good); a.status != 200 {
		t.Fatalf("a good token: %d %s", a.status, a.body)
	}
	for range 5 { // no token is not a bad one
		if a := ask(here, ""); a.status != 401 {
			t.Fatalf("no token: %d", a.status)
		}
	}
	for i, want := range []int{401, 401, 401, 429, 429} {
		a := ask(here, forged(i))
		if a.status != want {
			t.Fatalf("bad token %d: %d %s, want %d", i, a.status, a.body, want)
		}
		if want == 429 {
			m := document429.FindStringSubmatch(a.body)
			if m == nil || m[1] != "API rate limit exceeded" || a.header.Get("Retry-After") != "40" || a.header.Get("RateLimit-Limit") != "" {
				t.Errorf("%s, %v", a.body, a.header)
			}
		}
	}
	for name, tc := range map[string]struct {
		from, token string
		want        int
	}{
		"a token that was good before": {here, good, 200},
		"no token":                     {here, "", 401},
		"a new token":                  {here, fresh, 429},
		"the same network":             {neighbour, fresh, 429},
		"another network":              {elsewhere, deviceToken("mobilev2-d-1591600000000", nil), 200}, // "fresh" would be known then
		"a bad one of another network": {elsewhere, forged(9), 401},
		"IPv4":                         {"192.0.2.1", forged(9), 401},
	} {
		if a := ask(tc.from, tc.token); a.status != tc.want {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, tc.want)
		}
	}
	clock.turn(40 * time.Second)
	if a := ask(here, deviceToken("mobilev2-c-1591600000000", nil)); a.status != 200 {
		t.Errorf("a new token a minute later: %d", a.status)
	}
}

// TestGoodTokensCostNothing has more new good tokens than the bound, without a cache.
func TestGoodTokensCostNothing(t *testing.T) {
	t.Parallel()
	ask, _ := besieged(t, nil)
	for i := range 8 {
		if a := ask("192.0.2.1", deviceToken(fmt.Sprintf("mobilev2-%d-1591600000000", i), nil)); a.status != 200 {
			t.Fatalf("good token %d: %d %s", i, a.status, a.body)
		}
	}
}

// askedKeys counts how often a verifier looks for a key, which it does before it looks
// at a signature.
type askedKeys struct {
	carnet.KeySource
	n atomic.Int64
}

func (k *askedKeys) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	k.n.Add(1)
	return k.KeySource.Find(ctx, h)
}

// TestFloodOfBadTokens floods with made-up tokens from one network, at once: no more
// of them than the bound come to a signature, while those who share the network and
// are known go on.
func TestFloodOfBadTokens(t *testing.T) {
	t.Parallel()
	const bound, goroutines, each = 20, 64, 50
	cred := must(carnet.ImportedSecretKey("HS256", "", []byte(appSecret)))
	keys := &askedKeys{KeySource: must(carnet.StaticKeys(cred))}
	v := must(carnet.NewVerifier(carnet.VerifierConfig{
		Keys: keys, Policy: carnet.SignatureOnly(), Cache: carnet.NewCache(1 << 20), Clock: func() time.Time { return now },
	}))
	n := newNetworks(limit.Rate{N: bound, Per: time.Minute}, limit.NewCounters(networkTable))
	r := func() *request { return &request{addr: netip.MustParseAddr("192.0.2.1"), now: now} }
	visit := func(token string) (bool, error) {
		r := r()
		to, f := n.enter(r, v, token)
		if f != nil {
			return false, nil
		}
		_, err := v.Verify(t.Context(), token)
		to.leave(err)
		return true, err
	}
	good := hs(appSecret, "app-key")
	if ok, err := visit(good); !ok || err != nil {
		t.Fatal(ok, err)
	}
	keys.n.Store(0)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				if ok, err := visit(hs("a-secret-that-is-not-the-right-one", fmt.Sprint(g, "-", i))); ok && err == nil {
					t.Error("a forged token was taken")
				}
				if ok, err := visit(good); !ok || err != nil {
					t.Errorf("a known token during the flood: %v, %v", ok, err)
				}
			}
		})
	}
	wg.Wait()
	if got := keys.n.Load(); got != bound {
		t.Errorf("%d of %d bad tokens were looked at, want %d", got, goroutines*each, bound)
	}
}

// TestWhatRefusesAToken tells errors about a token from those of a verifier that cannot
// say: a network is not charged for the latter.
func TestWhatRefusesAToken(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		carnet.ErrMalformed, &carnet.MalformedError{Part: "alg", Reason: "is none"}, &carnet.ClaimError{Claim: "iss"}, carnet.ErrUnknownKey,
		carnet.ErrAlgorithm, carnet.ErrSignature, fmt.Errorf("jwt: %w", carnet.ErrSignature), carnet.ErrRevoked,
	} {
		if !refusesToken(err) {
			t.Errorf("%v does not refuse the token", err)
		}
	}
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, carnet.ErrKeysUnavailable, fault.New(fault.Unavailable, "store is gone")} {
		if refusesToken(err) {
			t.Errorf("%v refuses the token", err)
		}
	}
}

// TestOutcomeOfAFlood shows what the metrics see. An outcome is told after its answer:
// each is waited for, or the next request could be told of first.
func TestOutcomeOfAFlood(t *testing.T) {
	t.Parallel()
	outcomes := make(chan Outcome, 1)
	c := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}, RateLimiting: &RateLimiting{Hour: new(1)}})
	c.RefusedPerIP = limit.Rate{N: 1, Per: time.Hour}
	_, server := newGateway(t, Options{Config: c, Cache: carnet.NewCache(1 << 20), Observe: func(o Outcome) { outcomes <- o }})
	good := "Authorization: Bearer " + hs(appSecret, "app-key")
	bad := "Authorization: Bearer x.y.z"
	for _, c := range []struct{ line, want string }{
		{good, " 200"}, {good, "rate-limiting 429"}, {bad, "jwt 401"}, {bad, "refused_per_ip 429"},
	} {
		call(t, server, "GET", "/demo", c.line)
		if o := <-outcomes; fmt.Sprint(o.Refused, " ", o.Status) != c.want {
			t.Errorf("outcome %s %d, want %q", o.Refused, o.Status, c.want)
		}
	}
}
