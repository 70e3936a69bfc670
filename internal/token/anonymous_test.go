package token

import (
	"strings"
	"testing"
)

func TestAnonymous(t *testing.T) {
	t.Parallel()
	one, other := NewAnonymous(), NewAnonymous()
	if one == other || !IsAnonymous(one) || !IsAnonymous(other) || !ValidSubject(one) {
		t.Errorf("NewAnonymous() = %q, then %q: want two anonymous subjects", one, other)
	}
	for _, subject := range []string{
		"", "ann@example.com", "anon_", "anon_1", "anon_bob", strings.TrimPrefix(one, "anon_"), strings.ToUpper(one),
		one + "!", "x" + one, one[:len(one)-1], strings.Replace(one, "_", "-", 1),
	} {
		if IsAnonymous(subject) {
			t.Errorf("IsAnonymous(%q) = true: it can be a user's", subject)
		}
	}
}
