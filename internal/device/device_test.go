package device

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 123_456_789, time.UTC)

// signer signs for every set with one key, and counts.
type signer struct {
	key  *jose.Key
	sets []key.SetName
	err  error
}

func (s *signer) Sign(_ context.Context, set key.SetName, _ jose.Algorithm, typ string, claims []byte) (string, error) {
	s.sets = append(s.sets, set)
	if s.err != nil {
		return "", s.err
	}
	return s.key.Sign(typ, claims)
}

func open(t *testing.T) (*Registrar, *signer) {
	t.Helper()
	k, err := jose.Generate(jose.RS256, "mobilev2_key1")
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{key: k}
	r, err := New(Config{
		Keys: s,
		Sets: map[key.SetName]Set{
			"mobile_device":    {Algorithm: jose.RS256, IssuerPrefix: "mobilev2"},
			"portal_anonymous": {Algorithm: jose.RS256, Form: Shipped},
		},
		Reserved: []string{"desktopv2"},
		Clock:    func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

func TestRegister(t *testing.T) {
	t.Parallel()
	r, s := open(t)
	for set, want := range map[key.SetName]string{
		"mobile_device":    `{"iss":"mobilev2-dev.sunbird.app-7b1c0d9e5f-1780315200123","iat":1780315200}`,
		"portal_anonymous": `{"iss":"dev.sunbird.app-7b1c0d9e5f","iat":1780315200}`,
	} {
		token, err := r.Register(t.Context(), set, "dev.sunbird.app-7b1c0d9e5f")
		if err != nil {
			t.Fatal(err)
		}
		jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := jws.Verify(s.key.Public().Crypto())
		if err != nil {
			t.Fatal(err)
		}
		if string(payload) != want {
			t.Errorf("claims = %s, want %s", payload, want)
		}
		header, _, _ := strings.Cut(token, ".")
		text, err := base64.RawURLEncoding.DecodeString(header)
		if want := `{"alg":"RS256","kid":"mobilev2_key1"}`; err != nil || string(text) != want {
			t.Errorf("header = %s, want %s", text, want)
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	r, s := open(t)
	for name, tc := range map[string]struct {
		set  key.SetName
		key  string
		want fault.Kind
	}{
		"unknown set":             {"nobody", "k", fault.NotFound},
		"access set":              {"access", "k", fault.NotFound},
		"no set":                  {"", "k", fault.NotFound},
		"bad key":                 {"mobile_device", "a b", fault.Invalid},
		"bad shipped":             {"portal_anonymous", "a b", fault.Invalid},
		"as another set's issuer": {"portal_anonymous", "mobilev2-x-1591600000000", fault.Invalid},
		"as a listed issuer":      {"portal_anonymous", "desktopv2-x", fault.Invalid},
		"a prefix":                {"portal_anonymous", "mobilev2", fault.Invalid},
	} {
		if token, err := r.Register(t.Context(), tc.set, tc.key); fault.KindOf(err) != tc.want || token != "" {
			t.Errorf("%s: Register() = %q, %v", name, token, err)
		}
	}
	if len(s.sets) != 0 {
		t.Errorf("something was signed: %v", s.sets)
	}
	for set, key := range map[key.SetName]string{"mobile_device": "mobilev2-x-1591600000000", "portal_anonymous": "mobilev2x"} {
		if _, err := r.Register(t.Context(), set, key); err != nil {
			t.Errorf("%s refuses %s: %v", set, key, err)
		}
	}
	s.err = fault.New(fault.Unavailable, "busy")
	if _, err := r.Register(t.Context(), "mobile_device", "k"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("busy signer: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Set{Algorithm: jose.RS256, Form: Design, IssuerPrefix: "p"}
	shipped := Set{Algorithm: jose.RS256, Form: Shipped}
	for name, c := range map[string]Config{
		"no keys":      {Sets: map[key.SetName]Set{"a": good}},
		"no prefix":    {Keys: &signer{}, Sets: map[key.SetName]Set{"a": {Algorithm: jose.RS256, Form: Design}}},
		"bad form":     {Keys: &signer{}, Sets: map[key.SetName]Set{"a": {Algorithm: jose.RS256, Form: "old", IssuerPrefix: "p"}}},
		"legacy":       {Keys: &signer{}, LegacyConsumers: []string{"a"}},
		"no algorithm": {Keys: &signer{}, Sets: map[key.SetName]Set{"a": {Form: Design, IssuerPrefix: "p"}}},
		"HS256":        {Keys: &signer{}, Sets: map[key.SetName]Set{"a": {Algorithm: jose.HS256, Form: Design, IssuerPrefix: "p"}}},
		"one prefix":   {Keys: &signer{}, Sets: map[key.SetName]Set{"a": good, "b": good}},
		"overlap":      {Keys: &signer{}, Sets: map[key.SetName]Set{"a": good, "b": {Algorithm: jose.RS256, Form: Design, IssuerPrefix: "p-x"}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: New() takes it", name)
		}
	}
	for name, sets := range map[string]map[key.SetName]Set{
		"no sets":  nil,
		"two sets": {"a": good, "b": {Algorithm: jose.ES256, Form: Design, IssuerPrefix: "p2"}, "c": shipped, "d": shipped},
	} {
		if _, err := New(Config{Keys: &signer{}, Sets: sets}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		key  string
		want []Problem
	}{
		"usual":              {"a36c3049b36249a3c9f8891cb127243c", nil},
		"one character":      {"k", nil},
		"hyphens":            {"x-1591500000000", nil},
		"whole range":        {"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", nil},
		"128 bytes":          {strings.Repeat("k", 128), nil},
		"UUID in capitals":   {"CFC8529D-2629-411E-9F81-3CFDF8D36833", nil},
		"nearly a UUID":      {"cfc8529d-2629-411e-9f81-3cfdf8d3683", nil},
		"empty":              {"", []Problem{Missing}},
		"blank":              {" ", []Problem{Space}},
		"blanks":             {"key with space", []Problem{Space}},
		"tab":                {"a\tb", []Problem{Space}},
		"line end":           {"a\n", []Problem{Space}},
		"UUID":               {"cfc8529d-2629-411e-9f81-3cfdf8d36833", []Problem{UUID}},
		"129 bytes":          {strings.Repeat("k", 129), []Problem{TooLong}},
		"NUL":                {"a\x00", []Problem{Charset}},
		"DEL":                {"a\x7f", []Problem{Charset}},
		"letter of Unicode":  {"schlüssel", []Problem{Charset}},
		"blank of Unicode":   {"a\u00a0b", []Problem{Charset}},
		"broken UTF-8":       {"a\xff", []Problem{Charset}},
		"long, blank, UTF-8": {strings.Repeat("k", 128) + " ü", []Problem{Space, TooLong, Charset}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := CheckKey(tc.key)
			if tc.want == nil {
				if err != nil {
					t.Errorf("CheckKey() = %v, want nil", err)
				}
				return
			}
			e, ok := errors.AsType[*KeyError](err)
			if !ok || len(e.Problems) != len(tc.want) {
				t.Fatalf("CheckKey() = %v, want %v", err, tc.want)
			}
			for i, p := range tc.want {
				if e.Problems[i] != p {
					t.Errorf("problem %d is %q, want %q", i, e.Problems[i], p)
				}
			}
			if tc.key != "" && strings.Contains(err.Error(), tc.key) && len(tc.key) > 2 {
				t.Error("the error shows the key")
			}
		})
	}
}

func FuzzCheckKey(f *testing.F) {
	f.Add("k")
	f.Add("a b")
	f.Add("cfc8529d-2629-411e-9f81-3cfdf8d36833")
	f.Fuzz(func(t *testing.T, k string) {
		if CheckKey(k) != nil {
			return
		}
		if k == "" || len(k) > MaxKey {
			t.Errorf("a key of %d bytes passes", len(k))
		}
		for _, b := range []byte(k) {
			if b < 0x21 || b > 0x7e {
				t.Errorf("a key with byte %#x passes", b)
			}
		}
	})
}
