package gateway

import (
	"context"
	"net/http"
)

// aclStage admits consumers by group, as Kong's plugin acl does.
type aclStage struct {
	groups []string
	deny   bool // the groups are those that may not pass
	hide   bool // do not tell the upstream the groups
	old    bool // as Kong 0.14: 403 for everybody
}

// newACLStage makes the check of a route whose callers are found out by j, nil if
// nothing finds out.
func newACLStage(a *ACL, j *JWT) *aclStage {
	s := &aclStage{groups: a.allowed(), hide: a.HideGroupsHeader, old: j.old()}
	if denied := a.denied(); len(denied) > 0 {
		s.groups, s.deny = denied, true
	}
	return s
}

func (*aclStage) name() string { return "acl" }

func (s *aclStage) check(_ context.Context, r *request) *refusal {
	if r.principal == nil {
		return s.stranger("no consumer is known: the route has no jwt, or it did not run")
	}
	who := r.principal.Consumer
	switch {
	case who.In(s.groups) != s.deny:
	case s.deny:
		return s.forbid("the consumer is in a group denied")
	case r.principal.Credential == nil && len(who.Groups) == 0:
		return s.stranger("the caller is anonymous, and the anonymous consumer has no groups: " + r.excused)
	default:
		return s.forbid("the consumer is in none of the groups allowed")
	}
	if !s.hide {
		r.groups, r.grouped = who.GroupList(), true
	}
	return nil
}

// stranger refuses a caller who might pass as somebody.
func (s *aclStage) stranger(reason string) *refusal {
	if s.old {
		return s.forbid(reason)
	}
	f := document(http.StatusUnauthorized, "Unauthorized", reason)
	f.challenge = "Bearer"
	return f
}

func (s *aclStage) forbid(reason string) *refusal {
	const text = "You cannot consume this service"
	if s.old {
		return message(http.StatusForbidden, text, reason)
	}
	return document(http.StatusForbidden, text, reason)
}
