package gateway

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
)

func TestDialect(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	id := func(deny *bool, prefixes ...string) dialectID {
		return newDialect(&JWT{IssuerPrefixes: prefixes, DenyBarePrefix: deny}).id()
	}
	for name, tc := range map[string]struct {
		a, b dialectID
		same bool
	}{
		"order does not matter":      {id(nil, "a", "b"), id(nil, "b", "a"), true},
		"twice is once":              {id(nil, "a", "a"), id(nil, "a"), true},
		"deny is the default":        {id(nil, "a"), id(&yes, "a"), true},
		"deny matters":               {id(&no, "a"), id(&yes, "a"), false},
		"not without prefixes":       {id(&no), id(&yes), true},
		"prefixes matter":            {id(nil, "a"), id(nil, "b"), false},
		"two are not one of the two": {id(nil, "a", "b"), id(nil, "ab"), false},
	} {
		if (tc.a == tc.b) != tc.same {
			t.Errorf("%s: %v and %v", name, tc.a, tc.b)
		}
	}
}

func TestSourceFind(t *testing.T) {
	t.Parallel()
	s := &sets{}
	s.put("mobile_device", joseKey("RS256", "k1", rsaA()))
	g, err := New(t.Context(), Options{Config: withSet("http://h"), KeySet: s.read})
	if err != nil {
		t.Fatal(err)
	}
	src := &source{&g.ring, newDialect(&JWT{IssuerPrefixes: []string{"app", "mobilev2"}})}
	for name, tc := range map[string]struct {
		hint carnet.Hint
		want []string
	}{
		"device":                 {carnet.Hint{Issuer: deviceIssuer, KeyID: "k1"}, []string{"k1"}},
		"device without kid":     {carnet.Hint{Issuer: deviceIssuer}, []string{"k1"}},
		"device, another kid":    {carnet.Hint{Issuer: deviceIssuer, KeyID: "k2"}, nil},
		"prefix of nobody":       {carnet.Hint{Issuer: "app-x-1591600000000"}, nil},
		"bare prefix":            {carnet.Hint{Issuer: "mobilev2"}, nil},
		"credential that begins": {carnet.Hint{Issuer: "app-key"}, []string{""}},
		"no issuer":              {carnet.Hint{KeyID: "k1"}, nil},
	} {
		keys, err := src.Find(t.Context(), tc.hint)
		var got []string
		for _, k := range keys {
			got = append(got, k.ID())
		}
		if d := cmp.Diff(tc.want, got); d != "" || (tc.want == nil) != errors.Is(err, carnet.ErrUnknownKey) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
}

// Whatever becomes of the configuration check, a shared secret never verifies devices.
func TestSymmetricPrefixIsNeverFound(t *testing.T) {
	t.Parallel()
	g, err := New(t.Context(), Options{Config: Config{Consumers: []Consumer{
		{Username: "u", JWTSecrets: []JWTSecret{{Key: "mobilev2", Secret: stated(appSecret)}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	src := &source{&g.ring, newDialect(&JWT{IssuerPrefixes: []string{"mobilev2"}})}
	if _, err := src.Find(t.Context(), carnet.Hint{Issuer: deviceIssuer}); !errors.Is(err, carnet.ErrUnknownKey) {
		t.Errorf("Find() error = %v, want %v", err, carnet.ErrUnknownKey)
	}
}
