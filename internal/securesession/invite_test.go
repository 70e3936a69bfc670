package securesession

import (
	"strings"
	"testing"
	"time"
)

// host is an authorizer with whom users sign in.
type host struct {
	*official
	address string
}

func (h host) Invite(k Key) string { return h.address + k.Conversation }

// TestInvite shows where to sign in to those who are locked out, each time, and to nobody
// else.
func TestInvite(t *testing.T) {
	for name, tc := range map[string]struct{ message, want string }{
		"default":            {"", "You need to sign in to continue. https://x/?a&c1"},
		"text":               {"Please sign in:", "Please sign in: https://x/?a&c1"},
		"text with a hole":   {"Go to ${link}, please.", "Go to https://x/?a&c1, please."},
		"markup with a hole": {`<TimelineMessage href="${link}"/>`, `<TimelineMessage href="https://x/?a&amp;c1"/>`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.policy.Message = tc.message
				guard := &Guard{Policy: b.policy, Authorizer: host{b.official, "https://x/?a&"}}
				b.Gate.c.Guard = func(string) *Guard { return guard }
			}, func(t *testing.T, b *bench) {
				missing := ask("")
				missing.Context = []byte(`{}`)
				wantVerdict(t, b, missing, CredentialMissing)
				wantVerdict(t, b, ask("bad"), Unauthorized)
				wantVerdict(t, b, ask("odd"), Unavailable)
				wantVerdict(t, b, ask("good"), "")
				b.official.mu.Lock()
				b.official.answers = func(string) Answer { return Answer{Class: Barred, RetryAfter: time.Second} }
				b.official.mu.Unlock()
				wantVerdict(t, b, ask("worse"), Restricted)
				b.mu.Lock()
				defer b.mu.Unlock()
				if len(b.notices) != 5 {
					t.Fatalf("notices %+v", b.notices)
				}
				for i, n := range b.notices {
					if i < 2 && n.Message != tc.want || i >= 2 && strings.Contains(n.Message, "https://") {
						t.Errorf("notice %d: %q, want %q", i, n.Message, tc.want)
					}
				}
			})
		})
	}
}

func TestInviteNowhere(t *testing.T) {
	t.Parallel()
	if got := invite("Sign in.", ""); got != "Sign in." {
		t.Errorf("invite() = %q", got)
	}
}
