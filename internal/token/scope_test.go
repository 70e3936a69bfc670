package token

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"":                  nil,
		"chat":              {"chat"},
		"chat orders:read":  {"chat", "orders:read"},
		"chat orders chat":  {"chat", "orders"},
		"https://x/y !#[]~": {"https://x/y", "!#[]~"},
	} {
		if got, err := ParseScope(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseScope(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{" ", " chat", "chat ", "chat  orders", "chat\torders", "a\"b", `a\b`, "ü", "a\x7f", "a\x00", strings.Repeat("a", maxScope+1)} {
		_, err := ParseScope(in)
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.Field != "scope" {
			t.Errorf("ParseScope(%q) error = %v", in, err)
		}
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	allowed := []string{"chat", "orders"}
	for in, want := range map[string]string{
		"": "chat orders", "orders": "orders", "orders chat": "orders chat", "chat chat": "chat",
	} {
		if got, err := Grant(in, allowed); err != nil || got != want {
			t.Errorf("Grant(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"admin", "chat admin", "Chat", "cha", " "} {
		if got, err := Grant(in, allowed); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Grant(%q) = %q, %v, want invalid", in, got, err)
		}
	}
	if got, err := Grant("", nil); got != "" || err != nil {
		t.Errorf("Grant() of nothing = %q, %v", got, err)
	}
}

func FuzzParseScope(f *testing.F) {
	f.Add("chat orders")
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := ParseScope(s)
		if err != nil {
			return
		}
		again, err := ParseScope(strings.Join(scopes, " "))
		if err != nil || !slices.Equal(scopes, again) {
			t.Errorf("ParseScope(%q) = %q does not read back: %q, %v", s, scopes, again, err)
		}
	})
}
