package consumer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
