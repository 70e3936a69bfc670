package app

import (
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

func TestRotate(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, first := f.add(t, Registration{})
	f.now = noon.Add(time.Hour)
	second, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		secret secret.Bytes
		at     time.Duration
		want   bool
	}{
		"old before":           {first, 59 * time.Minute, true},
		"old in overlap":       {first, 70*time.Minute - 1, true},
		"old after overlap":    {first, 70 * time.Minute, false},
		"new before it exists": {second, time.Hour - 1, false},
		"new at once":          {second, time.Hour, true},
		"new for long":         {second, 10000 * time.Hour, true},
	} {
		if _, err := f.Authenticate(t.Context(), a.ID, tc.secret, noon.Add(tc.at)); (err == nil) != tc.want {
			t.Errorf("%s: Authenticate() error = %v, want good: %v", name, err, tc.want)
		}
	}
}

func TestRotateWithoutOverlapEndsAllOthers(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	for i := range 20 {
		f.now = f.now.Add(time.Second)
		if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{}); err != nil {
			t.Fatalf("rotation %d: %v", i, err)
		}
	}
	if got := len(f.store.apps[a.ID].Secrets); got != 1 {
		t.Errorf("%d secrets are kept, want the one that is good", got)
	}
}

func TestRotateDoesNotLengthenALife(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, first := f.add(t, Registration{})
	for _, overlap := range []time.Duration{time.Minute, time.Hour} {
		if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: overlap}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Authenticate(t.Context(), a.ID, first, noon.Add(time.Minute)); err == nil {
		t.Error("a second rotation gave the first secret more time")
	}
}

func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: -1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("negative overlap: %v", err)
	}
	if _, err := f.Rotate(t.Context(), "app_nobody", RotateOptions{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown app: %v", err)
	}
	for range maxSecrets - 1 {
		if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Hour}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a secret too many: %v", err)
	}
}

// TestRotationTellsOfRotate: what it shows is what Rotate then does.
func TestRotationTellsOfRotate(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	for range maxSecrets - 1 {
		f.now = f.now.Add(time.Minute)
		shown, err := f.Rotation(t.Context(), a.ID, RotateOptions{Overlap: 3 * time.Hour, Life: 5 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		before, _ := f.Find(a.ID)
		if n := len(before.Secrets); len(shown) != n+1 {
			t.Errorf("%d secrets shown where there are %d, want one more", len(shown), n)
		}
		if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: 3 * time.Hour, Life: 5 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		after, _ := f.Find(a.ID)
		for i, s := range after.Secrets {
			got := shown[i]
			if i < len(shown)-1 && got.ID != s.ID || !got.NotBefore.Equal(s.NotBefore) || !got.NotAfter.Equal(s.NotAfter) {
				t.Errorf("shown %+v, done %+v", got, s)
			}
		}
	}
	page, _ := f.add(t, Registration{Public: true})
	for name, tc := range map[string]struct {
		id      ID
		overlap time.Duration
		want    fault.Kind
	}{
		"a secret too many": {a.ID, 3 * time.Hour, fault.Conflict},
		"negative overlap":  {a.ID, -1, fault.Invalid},
		"unknown":           {"app_nobody", 0, fault.NotFound},
		"public":            {page.ID, 0, fault.Conflict},
	} {
		if _, err := f.Rotation(t.Context(), tc.id, RotateOptions{Overlap: tc.overlap}); fault.KindOf(err) != tc.want {
			t.Errorf("%s: error = %v, want %v", name, err, tc.want)
		}
	}
}

func TestSigningKey(t *testing.T) {
	t.Parallel()
	for _, alg := range []jose.Algorithm{jose.HS256, jose.HS384, jose.HS512} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			f := open(t)
			a, first := f.add(t, Registration{SessionAlgorithm: alg})
			key, err := f.SigningKey(t.Context(), &a, noon)
			if err != nil {
				t.Fatal(err)
			}
			if key.Algorithm() != alg || key.ID() != a.Secrets[0].ID {
				t.Errorf("SigningKey() = %v", key)
			}
			// The key is the secret's text, as the app's own code would use it.
			want, err := jose.NewSecretKey(alg, key.ID(), first.Reveal())
			if err != nil || !key.Equal(want) {
				t.Errorf("the key is not made of the secret's text: %v", err)
			}
		})
	}
}

func TestSigningKeyIsTheNewestValid(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	f.now = noon.Add(time.Hour)
	if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Hour}); err != nil {
		t.Fatal(err)
	}
	found, _ := f.Find(a.ID)
	for name, tc := range map[string]struct {
		at   time.Duration
		want int // index of the secret
	}{
		"before rotation": {time.Hour - 1, 0},
		"at rotation":     {time.Hour, 1},
		"after overlap":   {3 * time.Hour, 1},
	} {
		key, err := f.SigningKey(t.Context(), found, noon.Add(tc.at))
		if err != nil || key.ID() != found.Secrets[tc.want].ID {
			t.Errorf("%s: SigningKey() = %v, %v, want secret %d", name, key, err, tc.want)
		}
	}
	if _, err := f.SigningKey(t.Context(), found, noon.Add(-1)); fault.KindOf(err) != fault.Denied {
		t.Errorf("without a valid secret: %v", err)
	}
}

func TestSigningKeyIsOpenedOncePerSnapshot(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	for range 100 {
		if _, err := f.SigningKey(t.Context(), &a, noon); err != nil {
			t.Fatal(err)
		}
	}
	if f.box.opened != 1 {
		t.Errorf("the secret was opened %d times", f.box.opened)
	}
}

func TestSealedSecretIsBoundToItsRow(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	b, _ := f.add(t, Registration{})
	b.Secrets[0].Sealed = a.Secrets[0].Sealed // moved in the database
	if _, err := f.SigningKey(t.Context(), &b, noon); err == nil {
		t.Error("a secret moved from another app's row signs")
	}
}

func TestNoSigningKeyWithoutSealedSecret(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{SessionAlgorithm: jose.ES256})
	if _, err := f.SigningKey(t.Context(), &a, noon); fault.KindOf(err) != fault.Denied {
		t.Errorf("SigningKey() error = %v", err)
	}
}
