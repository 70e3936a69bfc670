package jose

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// forge signs a header as it stands, which [Key.Sign] would not.
func forge(tb testing.TB, k *Key, header, payload string) string {
	tb.Helper()
	input := Encode([]byte(header)) + "." + Encode([]byte(payload))
	var sig []byte
	if k.secret != nil {
		m := k.mac([]byte(input))
		sig = m.sum[:k.signatureSize()]
	} else {
		var err error
		if sig, err = k.signature([]byte(input)); err != nil {
			tb.Fatal(err)
		}
	}
	return input + "." + Encode(sig)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	k := keyFor(t, HS256)
	good := mustSign(t, k, claims)
	parts := strings.Split(good, ".")
	header := func(h string) string { return forge(t, k, h, claims) }
	for name, tc := range map[string]struct{ token, part, reason string }{
		"nothing":                  {"", "token", "not three parts"},
		"no dot":                   {"abc", "token", "not three parts"},
		"two parts":                {parts[0] + "." + parts[1], "token", "not three parts"},
		"four parts":               {good + ".", "token", "not three parts"},
		"five parts":               {"a.b.c.d.e", "token", "not three parts"},
		"dots alone":               {"..", "header", "not one strict JSON object"},
		"16 KiB and a byte":        {good + strings.Repeat("A", MaxToken+1-len(good)), "token", "longer than 16 KiB"},
		"header of 4 KiB and more": {header(`{"alg":"HS256","x":"` + strings.Repeat("x", MaxHeader-20) + `"}`), "header", "longer than 4 KiB"},
		"header padded":            {parts[0] + "=." + parts[1] + "." + parts[2], "header", "not base64url"},
		"header with a line feed":  {parts[0][:4] + "\n" + parts[0][4:] + "." + parts[1] + "." + parts[2], "header", "not base64url"},
		"payload padded":           {parts[0] + "." + parts[1] + "=." + parts[2], "claims", "not base64url"},
		"signature padded":         {good + "=", "signature", "not base64url"},
		"signature with stray bit": {good[:len(good)-1] + string(good[len(good)-1]+1), "signature", "not base64url"},
		"no signature":             {parts[0] + "." + parts[1] + ".", "signature", "empty"},
		"header an array":          {header(`["alg","HS256"]`), "header", "not one strict JSON object"},
		"alg twice":                {header(`{"alg":"HS256","alg":"HS256"}`), "header", "not one strict JSON object"},
		"ALG":                      {header(`{"alg":"HS256","ALG":"none"}`), "header", "member name in another case"},
		"crit":                     {header(`{"alg":"HS256","crit":["exp"],"exp":1}`), "header", "critical extension that is not understood"},
		"crit empty":               {header(`{"alg":"HS256","crit":[]}`), "header", "critical extension that is not understood"},
		"crit null":                {header(`{"alg":"HS256","crit":null}`), "header", "critical extension that is not understood"},
		"b64 true":                 {header(`{"alg":"HS256","b64":true}`), "header", "critical extension that is not understood"},
		"no alg":                   {header(`{"typ":"JWT"}`), "alg", "absent or not a string"},
		"alg null":                 {header(`{"alg":null}`), "alg", "absent or not a string"},
		"alg a list":               {header(`{"alg":["HS256"]}`), "alg", "absent or not a string"},
		"alg none":                 {header(`{"alg":"none"}`), "alg", "none of HS"},
		"alg in lower case":        {header(`{"alg":"hs256"}`), "alg", "none of HS"},
		"alg by escape":            {header(`{"alg":"\u0048S256"}`), "alg", "none of HS"},
		"kid a number":             {header(`{"alg":"HS256","kid":1}`), "header", "kid is not a string"},
		"kid null":                 {header(`{"alg":"HS256","kid":null}`), "header", "kid is not a string"},
		"typ a list":               {header(`{"alg":"HS256","typ":["JWT"]}`), "header", "typ is not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var u Unverified
			if err := u.Parse(good); err != nil {
				t.Fatal(err)
			}
			form, ok := errors.AsType[*FormError](u.Parse(tc.token))
			if !ok || form.Part != tc.part || !strings.HasPrefix(form.Reason, tc.reason) {
				t.Errorf("Parse() error = %v, want malformed %s: %s", form, tc.part, tc.reason)
			}
			if err := u.Verify(k); err == nil {
				t.Error("after a refusal the token before it still verifies")
			}
			if err := u.Parse(good); err != nil || u.Verify(k) != nil || u.KeyID != k.ID() {
				t.Errorf("a good token after a refusal: %v, %v", err, u.Verify(k))
			}
		})
	}
}

func TestParseTakesTheLargest(t *testing.T) {
	t.Parallel()
	k := keyFor(t, HS256)
	frame := len(forge(t, k, `{"alg":"HS256"}`, ""))
	payload := strings.Repeat("x", (MaxToken-frame)*3/4)
	token := forge(t, k, `{"alg":"HS256"}`, payload)
	if len(token) < MaxToken-1 || len(token) > MaxToken {
		t.Fatalf("token of %d bytes", len(token))
	}
	if err := check(k, token); err != nil {
		t.Errorf("%d bytes: %v", len(token), err)
	}
	header := `{"alg":"HS256","x":"` + strings.Repeat("x", MaxHeader-22) + `"}`
	if err := check(k, forge(t, k, header, "")); err != nil || len(header) != MaxHeader {
		t.Errorf("header of %d bytes: %v", len(header), err)
	}
}

// TestParseHeaderAnew reads tokens in turn with the same memory: none may get what
// the one before it said.
func TestParseHeaderAnew(t *testing.T) {
	t.Parallel()
	k := keyFor(t, HS256)
	var u Unverified
	for range 2 {
		for _, tc := range []struct{ header, kid, typ string }{
			{`{"alg":"HS256","kid":"a","typ":"JWT"}`, "a", "JWT"},
			{`{"alg":"HS256","kid":"a","typ":"JWT"}`, "a", "JWT"},
			{`{"alg":"HS256","kid":"a"}`, "a", ""},
			{`{"alg":"HS256"}`, "", ""},
			{`{"alg":"HS256","typ":"at+jwt"}`, "", "at+jwt"},
			{`{"alg":"HS256","kid":"a\\u0062"}`, `a\u0062`, ""}, // a backslash
			{`{"alg":"HS256","kid":"a\u0062"}`, "ab", ""},       // an escape
			{`{"alg":"HS256","kid":"a\u0062","typ":"\u004aWT"}`, "ab", "JWT"},
			{`{"kid":"jwk","alg":"HS256","jwk":{"kty":"oct"},"jku":"x","x5u":1,"x5c":[]}`, "jwk", ""},
		} {
			if err := u.Parse(forge(t, k, tc.header, claims)); err != nil {
				t.Fatalf("%s: %v", tc.header, err)
			}
			if u.Algorithm != HS256 || u.KeyID != tc.kid || u.Type != tc.typ || string(u.Payload()) != claims {
				t.Errorf("%s: kid %q, typ %q, payload %s", tc.header, u.KeyID, u.Type, u.Payload())
			}
			if err := u.Verify(k); err != nil {
				t.Errorf("%s: %v", tc.header, err)
			}
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	k := keyFor(t, HS256)
	var o Object
	for payload, reason := range map[string]string{
		claims:                        "",
		`{}`:                          "",
		``:                            "not one strict JSON object",
		`[]`:                          "not one strict JSON object",
		`{"exp":1,"exp":2}`:           "not one strict JSON object",
		`{"exp":1,"Exp":2}`:           "member name in another case",
		"{\"i\u017fs\":\"x\"}":        "member name in another case",
		`{"\u0041ud":"x"}`:            "member name in another case",
		`{"nested":{"Exp":1}}`:        "", // only the claims themselves have names to be taken for
		`{"expires":1,"audience":""}`: "",
	} {
		var u Unverified
		if err := u.Parse(forge(t, k, `{"alg":"HS256"}`, payload)); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		err := u.Claims(&o)
		form, ok := errors.AsType[*FormError](err)
		if ok != (reason != "") || ok && (form.Part != "claims" || form.Reason != reason) {
			t.Errorf("Claims() of %q: error = %v, want %q", payload, err, reason)
		}
	}
}

func TestSignHeader(t *testing.T) {
	t.Parallel()
	k := keyFor(t, ES256)
	for typ, want := range map[string]string{
		"":         `{"alg":"ES256","kid":"k-ES256"}`,
		"at+jwt":   `{"alg":"ES256","kid":"k-ES256","typ":"at+jwt"}`,
		`"},"a":1`: `{"alg":"ES256","kid":"k-ES256","typ":"\"},\"a\":1"}`,
	} {
		token, err := k.Sign(typ, []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		header, _ := Decode(token[:strings.IndexByte(token, '.')])
		if string(header) != want {
			t.Errorf("header = %s, want %s", header, want)
		}
		if err := check(k, token); err != nil {
			t.Error(err)
		}
	}
	awkward, err := k.WithID("a\"\\\n<é>")
	if err != nil {
		t.Fatal(err)
	}
	var u Unverified
	if err := u.Parse(mustSign(t, awkward, claims)); err != nil || u.KeyID != awkward.ID() {
		t.Errorf("kid reads back as %q, %v", u.KeyID, err)
	}
	long := strings.Repeat("t", 1000) // longer than the room that Sign sets aside
	if err := check(k, func() string { s, _ := k.Sign(long, []byte(claims)); return s }()); err != nil {
		t.Error(err)
	}
	var zero Key
	if _, err := zero.Sign("", nil); err == nil {
		t.Error("the zero key signs")
	}
	if err := u.Verify(&zero); err == nil {
		t.Error("the zero key verifies")
	}
}

// TestVerifySignatureForms varies signatures that were good.
func TestVerifySignatureForms(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			k := keyFor(t, alg)
			token := mustSign(t, k, claims)
			dot := strings.LastIndexByte(token, '.') + 1
			sig, _ := Decode(token[dot:])
			forms := map[string][]byte{
				"one byte":      {0},
				"all zero":      make([]byte, len(sig)),
				"all ones":      []byte(strings.Repeat("\xff", len(sig))),
				"cut":           sig[:len(sig)-1],
				"cut in front":  sig[1:],
				"longer":        append(append([]byte(nil), sig...), 0),
				"zero in front": append([]byte{0}, sig...),
				"twice":         append(append([]byte(nil), sig...), sig...),
			}
			for bit := range 8 {
				flipped := append([]byte(nil), sig...)
				flipped[bit*len(flipped)/8] ^= 1 << bit
				forms[string(rune('0'+bit))+"th bit"] = flipped
			}
			if p, ok := k.public.(*ecdsa.PublicKey); ok {
				order, half := p.Params().N, len(sig)/2
				r, s := new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])
				pair := func(r, s *big.Int) []byte {
					b := make([]byte, 2*half)
					r.FillBytes(b[:half])
					s.FillBytes(b[half:])
					return b
				}
				der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
				if err != nil {
					t.Fatal(err)
				}
				forms["DER"] = der
				forms["zero in front of s"] = slices.Concat(sig[:half], []byte{0}, sig[half:])
				forms["r is 0"] = pair(new(big.Int), s)
				forms["s is 0"] = pair(r, new(big.Int))
				forms["r is n"] = pair(order, s)
				forms["s is n"] = pair(r, order)
				forms["r and s exchanged"] = pair(s, r)
				if plus := new(big.Int).Add(s, order); plus.BitLen() <= 8*half {
					forms["s + n"] = pair(r, plus)
				}
			}
			for name, form := range forms {
				if err := check(k, token[:dot]+Encode(form)); !errors.Is(err, ErrSignature) {
					t.Errorf("%s: error = %v, want %v", name, err, ErrSignature)
				}
			}
		})
	}
}

// TestAppendDER compares our DER with encoding/asn1's.
func TestAppendDER(t *testing.T) {
	t.Parallel()
	numbers := []string{"\x00", "\x01", "\x7f", "\x80", "\xff\xff", "\x00\x00\x80", "\x01" + strings.Repeat("\x00", 65), strings.Repeat("\xff", 66)}
	for _, r := range numbers {
		for _, s := range numbers {
			want, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes([]byte(r)), new(big.Int).SetBytes([]byte(s))})
			if err != nil {
				t.Fatal(err)
			}
			if got := appendDER(nil, []byte(r), []byte(s)); string(got) != string(want) {
				t.Errorf("appendDER(%x, %x) = %x, want %x", r, s, got, want)
			}
		}
	}
}

func TestFormErrorShowsNoInput(t *testing.T) {
	t.Parallel()
	if got, want := malformed("alg", "absent").Error(), "malformed alg: absent"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate
func TestVerifyDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, alg := range []Algorithm{HS256, HS384, HS512} {
		k := keyFor(t, alg)
		one, two := mustSign(t, k, claims), mustSign(t, k, `{"sub":"another"}`)
		var u Unverified
		var o Object
		got := testing.AllocsPerRun(200, func() {
			if verifyInto(&u, &o, k, one) != nil || verifyInto(&u, &o, k, two) != nil {
				t.Fatal("token does not verify")
			}
		})
		if got != 0 {
			t.Errorf("%s: %v allocations, want 0", alg, got)
		}
	}
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate
func TestLongTokenIsRefusedByLength(t *testing.T) {
	token := strings.Repeat("A.", 1<<19)
	var u Unverified
	got := testing.AllocsPerRun(100, func() {
		if u.Parse(token) == nil {
			t.Fatal("1 MiB is taken")
		}
	})
	if got > 1 || cap(u.buf) != 0 {
		t.Errorf("%v allocations, %d bytes of memory, want the error alone", got, cap(u.buf))
	}
}
