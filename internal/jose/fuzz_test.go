package jose

import (
	"testing"
)

// FuzzMalleability changes a valid token of each algorithm in one place: no other
// text than the token itself may verify.
func FuzzMalleability(f *testing.F) {
	var keys []*Key
	var tokens []string
	for _, alg := range Algorithms() {
		k := keyFor(f, alg)
		keys = append(keys, k.publicOrSelf())
		tokens = append(tokens, mustSign(f, k, `{"sub":"a"}`))
	}
	for which := range tokens {
		for op := range uint8(4) {
			for _, at := range []uint16{0, 3, 40, 1 << 14, 1<<16 - 1} {
				for _, b := range []byte("A=.\n") {
					f.Add(uint8(which), op, at, b)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which, op uint8, at uint16, b byte) {
		i := int(which) % len(tokens)
		edited := edit(tokens[i], op, int(at), b)
		if err := check(keys[i], edited); (err == nil) != (edited == tokens[i]) {
			t.Errorf("%s, verified: %v\n%q\n%q", keys[i].alg, err == nil, tokens[i], edited)
		}
	})
}

// edit inserts, deletes or replaces a byte, or swaps two neighbours. A place from
// the upper half of the range counts from the end, where the signature stands.
func edit(token string, op uint8, at int, b byte) string {
	if at >= 1<<15 {
		at = len(token) - 1 - (1<<16-1-at)%len(token)
	}
	at %= len(token)
	switch op % 4 {
	case 0:
		return token[:at] + string([]byte{b}) + token[at:]
	case 1:
		return token[:at] + token[at+1:]
	case 2:
		return token[:at] + string([]byte{b}) + token[at+1:]
	default:
		if at+1 == len(token) {
			return token + string([]byte{b})
		}
		return token[:at] + token[at+1:at+2] + token[at:at+1] + token[at+2:]
	}
}

// TestMalleability runs all edits of one place over a short token, for the
// algorithms that verify fast.
func TestMalleability(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("tries 100,000 tokens")
	}
	k := keyFor(t, HS256)
	token := mustSign(t, k, `{"sub":"a"}`)
	for at := range token {
		for op := range uint8(4) {
			for b := range 256 {
				edited := edit(token, op, at, byte(b))
				if edited != token && check(k, edited) == nil {
					t.Fatalf("%q verifies for %q", edited, token)
				}
				if op%2 == 1 { // takes no byte
					break
				}
			}
		}
	}
}

// FuzzParse: whatever comes in, Parse does not panic, keeps to its size caps, and
// what it accepts has one spelling.
func FuzzParse(f *testing.F) {
	for _, alg := range []Algorithm{HS256, ES256, EdDSA} {
		f.Add(mustSign(f, keyFor(f, alg), claims))
	}
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiYjY0Il19.e30.AA")
	k := keyFor(f, HS256)
	f.Fuzz(func(t *testing.T, token string) {
		var u Unverified
		var o Object
		if u.Parse(token) != nil {
			if u.Verify(k) == nil {
				t.Error("a malformed token verifies")
			}
			return
		}
		again := string(u.input) + "." + Encode(u.sig)
		if again != token || len(token) > MaxToken || !u.Algorithm.Valid() {
			t.Errorf("%q is taken as %q, alg %q", token, again, u.Algorithm)
		}
		_ = u.Claims(&o)
		_ = u.Verify(k)
	})
}

// FuzzParseJWK: a key that is taken reads back as the same key.
func FuzzParseJWK(f *testing.F) {
	for _, alg := range Algorithms() {
		m := members(f, fixtureOf(alg), map[string]string{"alg": string(alg), "kid": "k"})
		f.Add(text(f, m))
		delete(m, "d")
		f.Add(text(f, m))
	}
	f.Add([]byte(`{"kty":"RSA","n":"AQ","e":"AQ","d":"AQ","p":"AQ","q":"AQ"}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		k, err := ParseJWK(src)
		if err != nil {
			return
		}
		doc, err := k.MarshalJWK()
		if k.CanSign() {
			doc, err = k.MarshalPrivateJWK()
		}
		if err != nil {
			t.Fatalf("the key %v cannot be written: %v", k, err)
		}
		again, err := ParseJWK(doc)
		if err != nil || !again.Equal(k) || again.CanSign() != k.CanSign() {
			t.Errorf("%s reads back as %v, %v", doc, again, err)
		}
		if k.CanSign() {
			if err := check(again, mustSign(t, k, claims)); err != nil {
				t.Errorf("what the key signs does not verify: %v", err)
			}
		}
	})
}

// FuzzParseSet: a set that is taken is not mixed, has no kid twice, and its public
// keys read back.
func FuzzParseSet(f *testing.F) {
	a := string(text(f, members(f, "p256", map[string]string{"d": "", "kid": "a"})))
	b := string(text(f, members(f, "ed25519", map[string]string{"kid": "b"})))
	s := string(text(f, members(f, "secret", map[string]string{"alg": "HS256", "kid": "s"})))
	for _, keys := range []string{"", a, a + "," + b, s, a + "," + s, a + "," + a, `{"kty":"AKP"},` + a, "1", a + ","} {
		f.Add([]byte(`{"keys":[` + keys + `]}`))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		set, err := ParseSet(src)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, k := range set.Keys() {
			if ids[k.ID()] || k.alg.Symmetric() != set.Keys()[0].alg.Symmetric() {
				t.Fatalf("%v does not belong into this set", k)
			}
			ids[k.ID()] = true
		}
		doc, err := set.MarshalJSON()
		if err != nil {
			if len(set.Keys()) > 0 && set.Keys()[0].alg.Symmetric() {
				return
			}
			t.Fatal(err)
		}
		again, err := ParseSet(doc)
		if err != nil || len(again.Keys()) != len(set.Keys()) {
			t.Fatalf("%s reads back as %v, %v", doc, again, err)
		}
		for i, k := range set.Keys() {
			if !again.Keys()[i].Equal(k) {
				t.Errorf("key %d reads back as %v", i, again.Keys()[i])
			}
		}
	})
}

// FuzzParsePEM: a key that is taken reads back, by way of its JWK, as the same one.
func FuzzParsePEM(f *testing.F) {
	for _, name := range []string{"HS256", "RS256", "ES256", "EdDSA", "none"} {
		f.Add(name, []byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"))
	}
	f.Fuzz(func(t *testing.T, alg string, src []byte) {
		k, err := ParsePEM(Algorithm(alg), "", src)
		if err != nil {
			return
		}
		doc, err := k.MarshalJWK()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseJWK(doc); err != nil || !again.Equal(k) {
			t.Errorf("%s reads back as %v, %v", doc, again, err)
		}
	})
}
