package key

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

func access() Spec {
	return Spec{
		Name: "access", Algorithms: []jose.Algorithm{jose.ES256, jose.EdDSA}, Active: 1,
		Rotation: 90 * 24 * time.Hour, PublishAhead: 10 * time.Minute, Verification: 24 * time.Hour,
	}
}

func device() Spec {
	return Spec{
		Name: "mobile_device", Algorithms: []jose.Algorithm{jose.ES256}, Active: 1, PublishAhead: 10 * time.Minute,
		Verification: Forever, KidPrefix: "mobilev2_key", IssuerPrefix: "mobilev2",
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*Spec)
		want []string // fields at fault
	}{
		"valid":                        {func(*Spec) {}, nil},
		"rotation by hand":             {func(s *Spec) { s.Rotation = 0 }, nil},
		"published when it signs":      {func(s *Spec) { s.PublishAhead = 0 }, nil},
		"verifies forever":             {func(s *Spec) { s.Verification = Forever }, nil},
		"longest name":                 {func(s *Spec) { s.Name = SetName(strings.Repeat("a", 64)) }, nil},
		"no name":                      {func(s *Spec) { s.Name = "" }, []string{"name"}},
		"long name":                    {func(s *Spec) { s.Name = SetName(strings.Repeat("a", 65)) }, []string{"name"}},
		"name of a path":               {func(s *Spec) { s.Name = "../access" }, []string{"name"}},
		"upper case name":              {func(s *Spec) { s.Name = "Access" }, []string{"name"}},
		"name with a colon":            {func(s *Spec) { s.Name = "a:b" }, []string{"name"}},
		"name with a line":             {func(s *Spec) { s.Name = "a\n" }, []string{"name"}},
		"no algorithm":                 {func(s *Spec) { s.Algorithms = nil }, []string{"algorithms"}},
		"symmetric algorithm":          {func(s *Spec) { s.Algorithms[1] = jose.HS256 }, []string{"algorithms[1]"}},
		"no such algorithm":            {func(s *Spec) { s.Algorithms[0] = "none" }, []string{"algorithms[0]"}},
		"algorithm twice":              {func(s *Spec) { s.Algorithms[1] = jose.ES256 }, []string{"algorithms[1]"}},
		"negative publish-ahead":       {func(s *Spec) { s.PublishAhead = -1 }, []string{"publish_ahead"}},
		"negative rotation":            {func(s *Spec) { s.Rotation, s.PublishAhead = -1, 0 }, []string{"rotation", "rotation"}},
		"rotation of nanoseconds":      {func(s *Spec) { s.Rotation, s.PublishAhead = 90, 0 }, []string{"rotation"}},
		"rotation under publish-ahead": {func(s *Spec) { s.Rotation = 10 * time.Minute }, []string{"rotation"}},
		"no verification":              {func(s *Spec) { s.Verification = 0 }, []string{"verification"}},
		"kid prefix with a space":      {func(s *Spec) { s.KidPrefix = "a b" }, []string{"kid_prefix"}},
		"RSA keys that are too short":  {func(s *Spec) { s.RSABits = 1024 }, []string{"rsa_bits"}},
		"RSA keys of an odd size":      {func(s *Spec) { s.RSABits = 2500 }, []string{"rsa_bits"}},
		"issuer prefix with a slash":   {func(s *Spec) { s.IssuerPrefix = "a/b" }, []string{"issuer_prefix"}},
		"several":                      {func(s *Spec) { s.Name, s.Verification = "", 0 }, []string{"name", "verification"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := access()
			tc.edit(&s)
			if diff := cmp.Diff(tc.want, fields(s.Validate())); diff != "" {
				t.Errorf("fields at fault (-want +got):\n%s", diff)
			}
		})
	}
}

// fields are those that the joined faults name.
func fields(err error) (names []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range joined.Unwrap() {
		if f, ok := errors.AsType[*fault.Error](err); ok {
			names = append(names, f.Field)
		}
	}
	return names
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	sameKids := device()
	sameKids.Name = "other"
	insideKids := sameKids
	insideKids.KidPrefix += "1"
	bad := access()
	bad.Verification = 0
	for name, c := range map[string]Config{
		"no store":                {Specs: []Spec{access()}},
		"a bad spec":              {Specs: []Spec{bad}, Store: &memory{}},
		"a set twice":             {Specs: []Spec{access(), access()}, Store: &memory{}},
		"two sets that number as": {Specs: []Spec{device(), sameKids}, Store: &memory{}},
		"one inside the other":    {Specs: []Spec{device(), insideKids}, Store: &memory{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(c); err == nil {
				t.Error("New() took it")
			}
		})
	}
}

func TestSharesKids(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		a, b string
		want bool
	}{
		"the same":           {"k", "k", true},
		"and a digit":        {"k", "k1", true},
		"and digits":         {"k", "k10", true},
		"and a zero":         {"k", "k0", false}, // no number begins with it
		"and a letter":       {"k", "kb", false},
		"and a sign":         {"k", "k-1", false},
		"a digit more":       {"k1", "k12", true},
		"others":             {"k", "m", false},
		"one has no prefix":  {"", "1", false},
		"neither has one":    {"", "", false},
		"longer than can be": {"k", "k" + strings.Repeat("1", 40), false},
	} {
		a, b := Spec{KidPrefix: tc.a}, Spec{KidPrefix: tc.b}
		if got := a.SharesKids(&b); got != tc.want || b.SharesKids(&a) != got {
			t.Errorf("%s: %t and %t, want %t", name, got, b.SharesKids(&a), tc.want)
		}
	}
}
