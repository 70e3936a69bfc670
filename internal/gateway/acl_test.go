package gateway

import (
	"slices"
	"strings"
	"testing"
)

func TestACL(t *testing.T) {
	t.Parallel()
	token := "Authorization: Bearer " + hs(appSecret, "app-key") // in mobileAdmin and staff
	allow := func(groups ...string) *ACL { return &ACL{Allow: groups} }
	deny := func(groups ...string) *ACL { return &ACL{Deny: groups} }
	const forbidden = "You cannot consume this service"
	for name, tc := range map[string]struct {
		acl     *ACL
		jwt     *JWT
		guest   []string // groups of the anonymous consumer
		token   string
		status  int
		message string
		groups  []string // what X-Consumer-Groups is; nil: not sent
	}{
		"allowed":                        {allow("x", "staff"), &JWT{}, nil, token, 200, "", []string{"mobileAdmin, staff"}},
		"not allowed":                    {allow("x"), &JWT{}, nil, token, 403, forbidden, nil},
		"denied":                         {deny("staff"), &JWT{}, nil, token, 403, forbidden, nil},
		"not denied":                     {deny("x"), &JWT{}, nil, token, 200, "", []string{"mobileAdmin, staff"}},
		"by the old name, allowed":       {&ACL{Whitelist: []string{"staff"}}, &JWT{}, nil, token, 200, "", []string{"mobileAdmin, staff"}},
		"by the old name, denied":        {&ACL{Blacklist: []string{"staff"}}, &JWT{}, nil, token, 403, forbidden, nil},
		"hidden":                         {&ACL{Allow: []string{"staff"}, HideGroupsHeader: true}, &JWT{}, nil, token, 200, "", nil},
		"other groups are there none":    {&ACL{Allow: []string{"staff"}, AlwaysUseAuthenticatedGroups: true}, &JWT{}, nil, token, 200, "", []string{"mobileAdmin, staff"}},
		"nobody":                         {allow("x"), nil, nil, token, 401, "Unauthorized", nil},
		"anonymous, allowed":             {allow("x"), &JWT{Anonymous: "guest"}, []string{"x", "y"}, "", 200, "", []string{"x, y"}},
		"anonymous, in another group":    {allow("x"), &JWT{Anonymous: "guest"}, []string{"y"}, "", 403, forbidden, nil},
		"anonymous, in none":             {allow("x"), &JWT{Anonymous: "guest"}, nil, "", 401, "Unauthorized", nil},
		"anonymous, denied":              {deny("x"), &JWT{Anonymous: "guest"}, []string{"x"}, "", 403, forbidden, nil},
		"anonymous, not denied, none":    {deny("x"), &JWT{Anonymous: "guest"}, nil, "", 200, "", []string{""}},
		"old: not allowed":               {allow("x"), &JWT{StatusProfile: "sunbird"}, nil, token, 403, forbidden, nil},
		"old: anonymous, in none":        {allow("x"), &JWT{StatusProfile: "sunbird", Anonymous: "guest"}, nil, "", 403, forbidden, nil},
		"old: allowed":                   {allow("staff"), &JWT{StatusProfile: "sunbird"}, nil, token, 200, "", []string{"mobileAdmin, staff"}},
		"a group in another case is not": {allow("Staff"), &JWT{}, nil, token, 403, forbidden, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oneRoute("", Plugins{JWT: tc.jwt, ACL: tc.acl})
			cfg.Consumers = append(cfg.Consumers, Consumer{Username: "guest", Groups: tc.guest})
			lines := []string{"X-Consumer-Groups: spoofed", "x_consumer_groups: spoofed"}
			if tc.token != "" {
				lines = append(lines, tc.token)
			}
			a := inProcess(t, cfg, Options{})("/demo", lines...)
			if a.status != tc.status {
				t.Fatalf("%d %s, want %d", a.status, a.body, tc.status)
			}
			if tc.status != 200 {
				old := tc.jwt != nil && tc.jwt.StatusProfile == "sunbird"
				if a.message(t) != tc.message || strings.Contains(a.body, "request_id") == old {
					t.Errorf("%s, want %s", a.body, tc.message)
				}
				if old && a.header["Www-Authenticate"] != nil {
					t.Errorf("WWW-Authenticate %q", a.header["Www-Authenticate"])
				}
				return
			}
			if got := a.seen(t).Header["X-Consumer-Groups"]; !slices.Equal(got, tc.groups) {
				t.Errorf("X-Consumer-Groups %q, want %q", got, tc.groups)
			}
		})
	}
}
