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
	"github.com/carnetproject/carnet/internal/secret"
)

// credentials is a store of credentials of the consumers that it names.
type credentials struct {
	owners map[string]string // by key; a consumer without one has the key ""
	made   int
	err    error
}

const deviceSecret = "hrGF9PSv0QmhHAbXEcVpLHcgcfJR7Z8T"

func (c *credentials) Legacy(_ context.Context, consumer, key string) (secret.Bytes, error) {
	switch owner, ok := c.owners[key]; {
	case c.err != nil:
		return secret.Bytes{}, c.err
	case consumer != "mobile_device":
		return secret.Bytes{}, fault.New(fault.NotFound, "no such consumer")
	case ok && owner != consumer:
		return secret.Bytes{}, fault.New(fault.Conflict, "the key is another consumer's")
	case !ok:
		c.owners[key] = consumer
		c.made++
	}
	return secret.FromString(deviceSecret), nil
}

func openLegacy(t *testing.T) (*Registrar, *credentials) {
	t.Helper()
	store := &credentials{owners: map[string]string{"taken": "desktop_device"}}
	r, err := New(Config{
		Keys: &signer{}, Legacy: store, LegacyConsumers: []string{"mobile_device", "gone"},
		Reserved: []string{"mobilev2"}, Clock: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, store
}

func TestRegisterLegacy(t *testing.T) {
	t.Parallel()
	r, store := openLegacy(t)
	for range 2 { // the second one finds what the first one made
		c, err := r.RegisterLegacy(t.Context(), "mobile_device", "dev.sunbird.app-7b1c")
		if err != nil {
			t.Fatal(err)
		}
		if !c.Secret.Equal(secret.FromString(deviceSecret)) {
			t.Error("another secret")
		}
		jws, err := gojose.ParseSignedCompact(c.Token, []gojose.SignatureAlgorithm{gojose.HS256})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jws.Verify([]byte(deviceSecret))
		if want := `{"iss":"dev.sunbird.app-7b1c","iat":1780315200}`; err != nil || string(claims) != want {
			t.Errorf("claims = %s, %v, want %s", claims, err, want)
		}
		head, _, _ := strings.Cut(c.Token, ".")
		if text, err := base64.RawURLEncoding.DecodeString(head); err != nil || string(text) != `{"alg":"HS256"}` {
			t.Errorf("header = %s", text)
		}
	}
	if store.made != 1 {
		t.Errorf("%d credentials were made, want 1", store.made)
	}
}

func TestRegisterLegacyRefuses(t *testing.T) {
	t.Parallel()
	r, store := openLegacy(t)
	for name, tc := range map[string]struct {
		consumer, key string
		want          fault.Kind
		create, taken bool
	}{
		"consumer off the list":     {"portal", "k", fault.NotFound, false, false},
		"consumer not in the store": {"gone", "k", fault.NotFound, true, false},
		"another's key":             {"mobile_device", "taken", fault.Conflict, true, true},
		"prefix":                    {"mobile_device", "mobilev2", fault.Invalid, false, false},
		"prefix and more":           {"mobile_device", "mobilev2-x-1591600000000", fault.Invalid, false, false},
		"empty":                     {"mobile_device", "", fault.Invalid, false, false},
		"blank":                     {"mobile_device", "a b", fault.Invalid, false, false},
		"UUID":                      {"mobile_device", "cfc8529d-2629-411e-9f81-3cfdf8d36833", fault.Invalid, false, false},
	} {
		c, err := r.RegisterLegacy(t.Context(), tc.consumer, tc.key)
		e, create := errors.AsType[*CreateError](err)
		if fault.KindOf(err) != tc.want || c.Token != "" || c.Secret.Len() != 0 || create != tc.create || create && e.Taken != tc.taken {
			t.Errorf("%s: RegisterLegacy() = %v, %v", name, c.Token, err)
		}
	}
	if store.made != 0 {
		t.Errorf("%d credentials were made", store.made)
	}
	if _, err := r.RegisterLegacy(t.Context(), "mobile_device", "mobilev2x"); err != nil {
		t.Errorf("a key that only resembles a prefix: %v", err)
	}
	for _, cause := range []error{errors.New("disk"), fault.New(fault.Unavailable, "store is down")} {
		store.err = cause
		_, err := r.RegisterLegacy(t.Context(), "mobile_device", "k")
		if _, create := errors.AsType[*CreateError](err); create || fault.KindOf(err) != fault.KindOf(cause) {
			t.Errorf("%v: RegisterLegacy() error = %v", cause, err)
		}
	}
}
