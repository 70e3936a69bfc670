package carnet_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/carnettest"
)

// TestRotation follows an issuer over HTTP: a new key is taken up when its first token
// comes, and a key that was taken away is gone after the next refresh.
func TestRotation(t *testing.T) {
	t.Parallel()
	issuer := carnettest.NewIssuer(t)
	var passed atomic.Int64
	keys, err := carnet.RemoteKeys(carnet.RemoteConfig{
		Issuer: issuer.URL, URL: issuer.URL + "/.well-known/jwks.json",
		Clock: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := carnet.NewVerifier(carnet.VerifierConfig{
		Keys: keys, Policy: carnet.AccessTokens(issuer.URL, carnettest.Audience), Cache: carnet.NewCache(1 << 20),
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what, token string, want error) {
		t.Helper()
		if _, err := verifier.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: error = %v, want %v", what, err, want)
		}
	}
	old := issuer.AccessToken("ann", "")
	check("the first token", old, nil)

	issuer.Rotate()
	fresh := issuer.AccessToken("bob", "")
	check("a new key within the cooldown", fresh, carnet.ErrUnknownKey)
	passed.Add(int64(10 * time.Second))
	check("a new key", fresh, nil)
	check("an old key that is still there", old, nil)

	issuer.Revoke()
	passed.Add(int64(time.Hour)) // too old to be used: the next token waits for the fetch
	check("a key that was taken away", old, carnet.ErrUnknownKey)
	check("the present key", fresh, nil)
}

// TestThrowAwayIssuer: what carnettest makes is real.
func TestThrowAwayIssuer(t *testing.T) {
	t.Parallel()
	issuer, other := carnettest.NewIssuer(t), carnettest.NewIssuer(t)
	verifier := issuer.Verifier()
	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"good":           {issuer.AccessToken("ann", "a b"), nil},
		"other issuer":   {other.AccessToken("ann", "a b"), carnet.ErrUnknownKey},
		"claim taken":    {issuer.Token("at+jwt", map[string]any{"jti": nil}), carnet.ErrClaim},
		"claim replaced": {issuer.Token("at+jwt", map[string]any{"aud": "x"}), carnet.ErrAudience},
		"typ":            {issuer.Token("JWT", nil), carnet.ErrType},
	} {
		got, err := verifier.Verify(t.Context(), tc.token)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: error = %v, want %v", name, err, tc.want)
		}
		if err == nil && (got.Subject() != "ann" || !got.HasScope("b")) {
			t.Errorf("%s: %s", name, got.Claims())
		}
	}
}
