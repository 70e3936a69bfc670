package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/limit"
)

func TestScalars(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		value any // a zero value of the type
		good  map[string]string
		bad   []string
	}{
		"duration":  {time.Duration(0), map[string]string{"5s": "5s", "90s": "90s", "120s": "2m", "48h": "48h", "0": "0s", "1m30s": "90s", "1500ms": "1.5s"}, []string{"", "5", "forever", "5 s", "1d"}},
		"no end":    {Duration(0), map[string]string{"forever": "forever", "2160h": "2160h", "0s": "0s"}, []string{"", "5", "Forever", "ever"}},
		"rate":      {limit.Rate{}, map[string]string{"60/m": "60/m", "none": "none"}, []string{"", "60", "0/m", "60/d"}},
		"size":      {gateway.Size(0), map[string]string{"64MiB": "64MiB", "1024": "1KiB", "3 KiB": "3KiB", "7B": "7B"}, []string{"", "64MB", "-1", "x"}},
		"network":   {netip.Prefix{}, map[string]string{"10.0.0.0/8": "10.0.0.0/8", "fd00::/8": "fd00::/8"}, []string{"", "10.0.0.1", "10.0.0.0/33"}},
		"truth":     {false, map[string]string{"true": "true", "false": "false"}, []string{"", "yes", "1", "True"}},
		"number":    {0, map[string]string{"7": "7", "-7": "-7"}, []string{"", "7.5", "x"}},
		"text":      {"", map[string]string{"": "", "x y": "x y"}, nil},
		"secret":    {gateway.Secret{}, map[string]string{"": "", "x": "[redacted]", "srn:x": "srn:x"}, nil},
		"named SRN": {gateway.Secret{}, map[string]string{"srn:vault::a:secret:b": "srn:vault::a:secret:b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			typ := reflect.TypeOf(tc.value)
			for in, out := range tc.good {
				v := reflect.New(typ).Elem()
				if err := parseScalar(v, in); err != nil {
					t.Errorf("parseScalar(%q) error = %v", in, err)
				} else if got := formatScalar(v); got != out {
					t.Errorf("%q is printed %q, want %q", in, got, out)
				}
			}
			for _, in := range tc.bad {
				err := parseScalar(reflect.New(typ).Elem(), in)
				if err == nil || !strings.HasPrefix(err.Error(), "must be ") {
					t.Errorf("parseScalar(%q) error = %v, want what it must be", in, err)
				}
			}
		})
	}
}

func TestForeverIsLongest(t *testing.T) {
	t.Parallel()
	if Forever.Std() < 290*365*24*time.Hour {
		t.Errorf("Forever = %v", Forever.Std())
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"url", "url", 0},
		{"urll", "url", 1},
		{"ulr", "url", 1},
		{"rul", "url", 1},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"routes", "services", 5},
		{strings.Repeat("a", 65), "a", 64},
	} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := distance(tc.b, tc.a); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.b, tc.a, got, tc.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"isuer": `; did you mean "issuer"?`, "organisation": `; did you mean "organization"?`, "x": "", "completely_else": "",
	} {
		if got := suggest(word, []string{"issuer", "organization", "data"}); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}
