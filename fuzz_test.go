package carnet

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
)

// differential holds our keys and the same keys as go-jose reads them.
type differential struct {
	verifier *Verifier
	theirs   map[string]any
	algs     []gojose.SignatureAlgorithm
	signers  []*jose.Key
}

func newDifferential(tb testing.TB) *differential {
	tb.Helper()
	d := &differential{theirs: map[string]any{}}
	for fixture, algs := range map[string][]string{
		"secret": {"HS256", "HS512"}, "rsa": {"RS256", "PS256"}, "p256": {"ES256"}, "p521": {"ES512"}, "ed25519": {"EdDSA"},
	} {
		for _, alg := range algs {
			k := signingKey(tb, fixture, alg, alg)
			text, err := k.MarshalPrivateJWK()
			if err != nil {
				tb.Fatal(err)
			}
			var theirs gojose.JSONWebKey
			if err := json.Unmarshal(text, &theirs); err != nil {
				tb.Fatal(err)
			}
			d.theirs[alg] = theirs.Key
			if !k.Algorithm().Symmetric() {
				d.theirs[alg] = theirs.Public().Key
			}
			d.algs = append(d.algs, gojose.SignatureAlgorithm(alg))
			d.signers = append(d.signers, k)
		}
	}
	keys := map[string][]*Key{}
	for _, k := range d.signers {
		keys[k.ID()] = []*Key{verifying(k)}
	}
	d.verifier = mustVerifier(tb, VerifierConfig{Policy: SignatureOnly(), Keys: finder(func(h Hint) ([]*Key, error) {
		return keys[h.Algorithm], nil
	})})
	return d
}

// compare fails if we accept token and go-jose does not, or sees other claims.
func (d *differential) compare(t *testing.T, token string) (accepted bool) {
	t.Helper()
	ours, err := d.verifier.Verify(context.Background(), token)
	if err != nil {
		return false
	}
	theirs, err := gojose.ParseSignedCompact(token, d.algs)
	if err != nil {
		t.Fatalf("we accept what go-jose cannot read: %v\n%q", err, token)
	}
	payload, err := theirs.Verify(d.theirs[ours.Algorithm()])
	if err != nil {
		t.Fatalf("we accept what go-jose does not verify: %v\n%q", err, token)
	}
	var a, b map[string]any
	if err := json.Unmarshal(payload, &a); err != nil {
		t.Fatalf("we accept claims that encoding/json does not: %v\n%q", err, payload)
	}
	if err := json.Unmarshal(ours.Claims(), &b); err != nil || !reflect.DeepEqual(a, b) {
		t.Fatalf("claims differ: %v\n%q\n%q", err, payload, ours.Claims())
	}
	for name, got := range map[string]string{"iss": ours.Issuer(), "sub": ours.Subject(), "jti": ours.ID(), "scope": ours.Scope()} {
		if want, _ := a[name].(string); got != want {
			t.Fatalf("%s = %q, go-jose says %q", name, got, want)
		}
	}
	if exp, ok := ours.Expiry(); ok {
		want, _ := a["exp"].(float64)
		if got := float64(exp.UnixMilli()) / 1000; got > want || got < want-0.002 {
			t.Fatalf("exp = %v, go-jose says %v", got, want)
		}
	}
	return true
}

// FuzzDifferential signs any header type and payload with each algorithm, changes the
// token in one place, and compares us with go-jose: whatever we accept, it accepts
// with the same claims.
func FuzzDifferential(f *testing.F) {
	d := newDifferential(f)
	f.Add(uint8(0), "at+jwt", goodClaims, uint16(1<<15), byte('A'))
	for i := range d.signers {
		f.Add(uint8(i), "JWT", goodClaims, uint16(0), byte(0))
		f.Add(uint8(i), "", `{"iss":"a\u0062","aud":["x","y"],"exp":1.5e9,"nested":{"a":[1,null,"\ud83d\ude00"]}}`, uint16(3), byte('e'))
		f.Add(uint8(i), "é\"", `{"sub":"\\\"","exp":253402300799,"x":-0.0}`, uint16(40), byte('='))
	}
	f.Fuzz(func(t *testing.T, which uint8, typ, payload string, at uint16, b byte) {
		k := d.signers[int(which)%len(d.signers)]
		token, err := k.Sign(typ, []byte(payload))
		if err != nil {
			t.Skip()
		}
		d.compare(t, token)
		i := int(at) % len(token)
		edited := token[:i] + string([]byte{b}) + token[i+1:]
		if d.compare(t, edited) && edited != token {
			t.Errorf("one changed byte, and it is accepted still\n%q\n%q", token, edited)
		}
	})
}

// TestDifferential: the comparison compares, for tokens of all its algorithms.
func TestDifferential(t *testing.T) {
	t.Parallel()
	d := newDifferential(t)
	for _, k := range d.signers {
		if !d.compare(t, mustSign(t, k, "at+jwt", goodClaims)) {
			t.Errorf("%s: a good token is refused", k.Algorithm())
		}
	}
	if len(d.signers) != 7 {
		t.Errorf("%d algorithms are compared", len(d.signers))
	}
}
