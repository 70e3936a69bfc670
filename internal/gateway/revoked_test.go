package gateway

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/revocation"
)

// denials revokes the tokens that a test says, and notes what it was asked.
type denials struct {
	epoch atomic.Uint64
	mu    sync.Mutex
	says  func(revocation.Token) bool // nil: none
	asked []revocation.Token
}

func (d *denials) Epoch() uint64 { return d.epoch.Load() }

func (d *denials) Revoked(t revocation.Token) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, t)
	return d.says != nil && d.says(t)
}

func (d *denials) change(says func(revocation.Token) bool) {
	d.mu.Lock()
	d.says = says
	d.mu.Unlock()
	d.epoch.Add(1)
}

func (d *denials) last(t *testing.T) revocation.Token {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		t.Fatal("the list was not asked")
	}
	return d.asked[len(d.asked)-1]
}

// TestWhatTheListIsAsked shows what the gateway knows of each form of token.
func TestWhatTheListIsAsked(t *testing.T) {
	t.Parallel()
	list := &denials{}
	_, server := newGateway(t, Options{
		Config:      oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}}),
		Revocations: list,
	})
	const stamp = 1_700_000_000_123
	device := "mobilev2-app-7b1c-" + strconv.Itoa(stamp)
	for name, tc := range map[string]struct {
		token string
		want  revocation.Token
	}{
		"plain credential": {
			hs(appSecret, "app-key", object{"sub": "ann", "jti": "j1", "azp": "shop", "iat": now.Unix()}),
			revocation.Token{ID: "j1", Issuer: "app-key", Subject: "ann", App: "shop", Credential: "app-key", IssuedAt: now.UTC()},
		},
		"device": {
			deviceToken(device, nil),
			revocation.Token{
				Issuer: device, App: device, Prefix: "mobilev2", Device: "app-7b1c", Credential: "mobilev2",
				IssuedAt: time.UnixMilli(stamp).UTC(),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := call(t, server, "GET", "/demo", "Authorization: Bearer "+tc.token); got.status != http.StatusOK {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			got := list.last(t)
			got.KeyID = "" // a thumbprint, if the credential names none
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRegistered(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_500).UTC()
	second := at.Truncate(time.Second)
	for name, tc := range map[string]struct {
		iat    time.Time
		issuer string
		want   time.Time
	}{
		"no iat":                   {time.Time{}, "p-d-1700000000500", at},
		"iat of the same second":   {second, "p-d-1700000000500", at},
		"iat of an earlier second": {second.Add(-time.Second), "p-d-1700000000500", second.Add(-time.Second)},
		"iat of a later second":    {second.Add(time.Second), "p-d-1700000000500", at},
		"beyond an int64":          {second, "p-d-9999999999999999999", second},
		"beyond, and no iat":       {time.Time{}, "p-d-9999999999999999999", time.Time{}},
		"far in the future":        {second, "p-d-9000000000000000000", second},
		"dashes in the device":     {time.Time{}, "p-a-1-b-1700000000500", at},
	} {
		if got := registered(tc.iat, tc.issuer); !got.Equal(tc.want) {
			t.Errorf("%s: registered() = %v, want %v", name, got, tc.want)
		}
	}
}

// TestRevokedTokens: a token in the cache is refused with the next change of the list,
// as the profile says, and let in again when the revocation is gone.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]*carnet.Cache{"cached": carnet.NewCache(1 << 20), "not cached": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := &denials{}
			_, server := newGateway(t, Options{
				Config:      oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}}),
				Revocations: list, Cache: cache,
			})
			want := func(when, token string, status int) {
				t.Helper()
				got := call(t, server, "GET", "/demo", "Authorization: Bearer "+token)
				if got.status != status {
					t.Fatalf("%s: status %d, want %d: %s", when, got.status, status, got.body)
				}
				if status == http.StatusUnauthorized && (got.message(t) != "Unauthorized" || got.header.Get("Www-Authenticate") != `Bearer error="invalid_token"`) {
					t.Errorf("%s: %s, WWW-Authenticate %q", when, got.body, got.header.Get("Www-Authenticate"))
				}
			}
			one, two := deviceToken("mobilev2-one-1700000000000", nil), deviceToken("mobilev2-two-1700000000000", nil)
			for range 2 {
				want("before", one, http.StatusOK)
				want("before", two, http.StatusOK)
			}
			list.change(func(t revocation.Token) bool { return t.Device == "one" })
			for range 2 {
				want("revoked", one, http.StatusUnauthorized)
				want("another is revoked", two, http.StatusOK)
			}
			list.change(nil)
			want("removed", one, http.StatusOK)
		})
	}
}

// TestTheListIsAskedOnceAnEpoch: a token in the cache costs no look at the list.
func TestTheListIsAskedOnceAnEpoch(t *testing.T) {
	t.Parallel()
	list := &denials{}
	g, _ := newGateway(t, Options{
		Config: oneRoute("http://127.0.0.1:1", Plugins{JWT: &JWT{}}), Revocations: list, Cache: carnet.NewCache(1 << 20),
	})
	verify := func() {
		t.Helper()
		for range 5 {
			if f := g.Explain(context.WithoutCancel(t.Context()), "GET", "x", "/demo", hs(appSecret, "app-key")); !f[len(f)-1].OK {
				t.Fatal(f)
			}
		}
	}
	verify()
	if n := len(list.asked); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	list.change(nil)
	verify()
	if n := len(list.asked); n != 2 {
		t.Errorf("asked %d times after a change, want twice", n)
	}
}
