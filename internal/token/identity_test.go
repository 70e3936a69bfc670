package token

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/jose"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	f := open(t)
	at := float64(noon.Unix())
	common := map[string]any{
		"iss": issuerURL, "sub": "usr_1", "aud": "app_1", "iat": at, "exp": at + 900, "auth_time": at - 60, "amr": []any{"pwd"},
	}
	for name, tc := range map[string]struct {
		edit func(*IdentityRequest)
		want map[string]any
	}{
		"the least": {func(*IdentityRequest) {}, map[string]any{}},
		"with a nonce, a name and an access token": {
			func(r *IdentityRequest) {
				r.Nonce, r.Name, r.Access = "n-0S6_WzA2Mj", "ann", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
			},
			map[string]any{"nonce": "n-0S6_WzA2Mj", "preferred_username": "ann", "at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, // Core §A.3's
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := IdentityRequest{App: "app_1", Subject: "usr_1", AuthTime: noon.Add(-time.Minute)}
			tc.edit(&r)
			got, err := f.Identity(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			k := f.ring.keys[AccessSet][jose.RS256]
			header, claims := verify(t, got, k, k.Public().Crypto())
			if header.ExtraHeaders["typ"] != "JWT" || header.KeyID != k.ID() {
				t.Errorf("header = %+v", header)
			}
			want := map[string]any{}
			for _, m := range []map[string]any{common, tc.want} {
				for claim, v := range m {
					want[claim] = v
				}
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdentityFails(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.ring.err = errors.New("no key")
	if text, err := f.Identity(t.Context(), IdentityRequest{App: "app_1", Subject: "usr_1"}); err == nil || text != "" {
		t.Errorf("Identity() = %q, %v", text, err)
	}
}

func TestHalfHash(t *testing.T) {
	t.Parallel()
	a, b, c := sha256.Sum256([]byte("x")), sha512.Sum384([]byte("x")), sha512.Sum512([]byte("x"))
	for alg, want := range map[jose.Algorithm][]byte{
		jose.RS256: a[:16], jose.ES256: a[:16], jose.PS256: a[:16],
		jose.RS384: b[:24], jose.PS384: b[:24], jose.ES384: b[:24],
		jose.RS512: c[:32], jose.PS512: c[:32], jose.ES512: c[:32], jose.EdDSA: c[:32],
	} {
		if got := halfHash(alg, "x"); got != base64.RawURLEncoding.EncodeToString(want) {
			t.Errorf("%s: %s", alg, got)
		}
	}
}
