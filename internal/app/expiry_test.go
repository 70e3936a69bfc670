package app

import (
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	secrets := func(ends ...time.Time) (list []Secret) {
		for _, end := range ends {
			list = append(list, Secret{NotAfter: end})
		}
		return list
	}
	one, two := noon.Add(time.Hour), noon.Add(2*time.Hour)
	for name, tc := range map[string]struct {
		app  App
		want time.Time
	}{
		"nothing":                    {App{Public: true}, time.Time{}},
		"one":                        {App{Secrets: secrets(one)}, one},
		"the last":                   {App{Secrets: secrets(two, one)}, two},
		"a successor without end":    {App{Secrets: secrets(one, time.Time{})}, time.Time{}},
		"a key after the secret":     {App{Secrets: secrets(one), Keys: []Key{{NotAfter: two}}}, two},
		"a key without end":          {App{Secrets: secrets(one), Keys: []Key{{}}}, time.Time{}},
		"a secret without end":       {App{Secrets: secrets(time.Time{}), Keys: []Key{{NotAfter: two}}}, time.Time{}},
		"a key alone":                {App{Keys: []Key{{NotAfter: one}}}, one},
		"a secret after the one key": {App{Secrets: secrets(two), Keys: []Key{{NotAfter: one}}}, two},
	} {
		if got := tc.app.Ends(); !got.Equal(tc.want) {
			t.Errorf("%s: Ends() = %v, want %v", name, got, tc.want)
		}
	}
}

func TestEnding(t *testing.T) {
	t.Parallel()
	f := open(t)
	if soon, _, ok := f.Ending(noon); ok || len(soon) > 0 {
		t.Errorf("without apps: %v end", soon)
	}
	f.add(t, Registration{Name: "endless"})
	f.add(t, Registration{Name: "page", Public: true})
	named := map[string]time.Duration{"soon": Warning - 1, "later": Warning, "off": time.Minute}
	for name, life := range named {
		a, _ := f.add(t, Registration{Name: name})
		if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Life: life}); err != nil {
			t.Fatal(err)
		}
		if name == "off" {
			if err := f.Disable(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for at, want := range map[time.Duration][]string{
		0: {"soon"}, 1: {"later", "soon"}, 2 * Warning: {"later", "soon"}, // who has ended is still in need
	} {
		soon, first, ok := f.Ending(noon.Add(at))
		var names []string
		for _, a := range soon {
			names = append(names, a.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, want) || !ok || first != Warning-1-at {
			t.Errorf("after %v: %v end, the first in %v (%v), want %v", at, names, first, ok, want)
		}
	}
}

func TestRotateLife(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	plain, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Minute, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]bool{0: true, time.Hour - 1: true, time.Hour: false} {
		if _, err := f.Authenticate(t.Context(), a.ID, plain, noon.Add(at)); (err == nil) != want {
			t.Errorf("after %v: Authenticate() error = %v, want good: %v", at, err, want)
		}
	}
	for _, life := range []time.Duration{-1, time.Minute} {
		if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Minute, Life: life}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("life %v: error = %v", life, err)
		}
	}
}
