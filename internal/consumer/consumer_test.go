package consumer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

// publicKey makes a key as a key set publishes it.
func publicKey(t *testing.T, kid string) *carnet.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jose.NewKey(jose.ES256, kid, private)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := k.MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	out, err := carnet.ParseJWK(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func secretKey(t *testing.T) *carnet.Key {
	t.Helper()
	k, err := carnet.ImportedSecretKey("HS256", "", []byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestIDsAreStable(t *testing.T) {
	t.Parallel()
	a, again, b := New("a", "", nil), New("a", "custom", []string{"g"}), New("b", "", nil)
	if a.ID != again.ID || a.ID == b.ID {
		t.Errorf("IDs %s, %s of a, %s of b", a.ID, again.ID, b.ID)
	}
	if len(a.ID) != 36 || a.ID[14] != '5' {
		t.Errorf("%s is not a UUID of version 5", a.ID)
	}
	c := NewCredential(a, "a", Material{}, nil)
	if c.ID == a.ID || c.ID != NewCredential(b, "a", Material{}, nil).ID {
		t.Errorf("credential ID %s does not follow from its key alone", c.ID)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		groups, asked []string
		in            bool
		list          string
	}{
		"none":      {nil, []string{"a"}, false, ""},
		"asks none": {[]string{"a"}, nil, false, "a"},
		"one":       {[]string{"a", "b"}, []string{"x", "b"}, true, "a, b"},
		"another":   {[]string{"a"}, []string{"A"}, false, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := New("u", "", tc.groups)
			if c.In(tc.asked) != tc.in || c.GroupList() != tc.list {
				t.Errorf("In = %v, GroupList = %q; want %v, %q", c.In(tc.asked), c.GroupList(), tc.in, tc.list)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	k1, k2, anonymous := publicKey(t, "k1"), publicKey(t, "k2"), publicKey(t, "")
	who := New("u", "", nil)
	named := NewCredential(who, "n", Material{Keys: []*carnet.Key{k1, k2}, Named: true}, nil)
	unnamed := NewCredential(who, "p", Material{Keys: []*carnet.Key{anonymous}}, nil)
	empty := NewCredential(who, "e", Material{Named: true}, nil)
	for name, tc := range map[string]struct {
		c        *Credential
		alg, kid string
		want     []string
	}{
		"by kid":                      {named, "ES256", "k2", []string{"k2"}},
		"by kid, whatever the alg":    {named, "RS256", "k1", []string{"k1"}},
		"unknown kid":                 {named, "ES256", "k3", nil},
		"no kid":                      {named, "ES256", "", []string{"k1", "k2"}},
		"no kid, other alg":           {named, "RS256", "", []string{"k1", "k2"}},
		"kid means nothing":           {unnamed, "ES256", "k1", []string{anonymous.ID()}},
		"no kid for one without name": {unnamed, "HS256", "", []string{anonymous.ID()}},
		"no keys":                     {empty, "ES256", "", nil},
		"no keys, kid":                {empty, "ES256", "k1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, k := range tc.c.Candidates(tc.alg, tc.kid) {
				got = append(got, k.ID())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("Candidates = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	who := New("u", "", nil)
	device := NewCredential(who, "mobilev2", Material{Keys: []*carnet.Key{publicKey(t, "k")}, Named: true}, nil)
	legacy := NewCredential(who, "legacy", Material{Keys: []*carnet.Key{secretKey(t)}}, nil)
	s, err := NewSet([]*Credential{device, legacy})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key             string
		found, asPrefix *Credential
	}{
		"asymmetric": {"mobilev2", device, device},
		"symmetric":  {"legacy", legacy, nil},
		"nobody":     {"x", nil, nil},
		"other case": {"Legacy", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.Find(tc.key) != tc.found || s.Prefix(tc.key) != tc.asPrefix {
				t.Errorf("Find = %v, Prefix = %v", s.Find(tc.key), s.Prefix(tc.key))
			}
			if err := s.CheckPrefix(tc.key); (err == nil) != (tc.asPrefix != nil) {
				t.Errorf("CheckPrefix = %v", err)
			}
		})
	}
	if _, err := NewSet([]*Credential{legacy, NewCredential(New("v", "", nil), "legacy", Material{}, nil)}); err == nil {
		t.Error("two credentials with one key were taken")
	}
}
