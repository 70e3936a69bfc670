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
}

func newACLStage(a *ACL) *aclStage {
	if len(a.Deny) > 0 {
		return &aclStage{groups: a.Deny, deny: true, hide: a.HideGroupsHeader}
	}
	return &aclStage{groups: a.Allow, hide: a.HideGroupsHeader}
}

func (*aclStage) name() string { return "acl" }

func (s *aclStage) check(_ context.Context, r *request) *refusal {
	if r.principal == nil {
		f := message(http.StatusUnauthorized, "Unauthorized", "no consumer is known: the route has no jwt, or it did not run")
		f.challenge = "Bearer"
		return f
	}
	if r.principal.Consumer.In(s.groups) == s.deny {
		reason := "the consumer is in none of the groups allowed"
		if s.deny {
			reason = "the consumer is in a group denied"
		}
		return message(http.StatusForbidden, "You cannot consume this service", reason)
	}
	if !s.hide {
		r.groups = r.principal.Consumer.GroupList()
	}
	return nil
}
