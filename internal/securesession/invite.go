package securesession

import (
	"html"
	"strings"
)

// inviter is an authorizer with whom users sign in.
type inviter interface {
	// Invite is the address at which the user of a conversation does; empty: there is
	// none. It must not block.
	Invite(k Key) string
}

// notice is what the user sees: who is locked out is told where to sign in, if they can.
func (g *Guard) notice(k Key, t Tell) Notice {
	n := g.Policy.notice(t)
	if in, ok := g.Authorizer.(inviter); ok && t.Standing == Locked && t.Reason != Restricted {
		n.Message = invite(n.Message, in.Invite(k))
	}
	return n
}

const (
	markup   = "<TimelineMessage"
	linkHole = "${link}" // of an ErrorMessage
)

// invite puts an address where the text has a hole for it, else at the end. Markup has a
// hole: [ParsePolicy] sees to it.
func invite(text, address string) string {
	switch {
	case strings.HasPrefix(text, markup):
		return strings.ReplaceAll(text, linkHole, html.EscapeString(address))
	case strings.Contains(text, linkHole):
		return strings.ReplaceAll(text, linkHole, address)
	}
	return strings.TrimSpace(text + " " + address)
}
