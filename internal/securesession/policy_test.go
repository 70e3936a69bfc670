package securesession

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// documented is the example of ServisBOT's page, cut short.
const documented = `{
	"SecureSession": true,
	"SecureSessionConfig": {"Type": "baas", "ValidationInterval": 60, "ApiAlias": "SecureSessionBaaS"},
	"State": "RUNNING", "Workers": [{"Type": "servisbot-classic-flow-worker", "Id": "x"}], "Name": "n"
}`

func documentedPolicy() Policy {
	return Policy{
		Type: Baas, Alias: "SecureSessionBaaS", Interval: time.Minute, Timeout: 3 * time.Second,
		Success: []int{200}, MaxPending: 32, HonourMaxAge: true,
	}
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	with := func(members string) string {
		return `{"SecureSession":true,"SecureSessionConfig":{"Type":"baas","ApiAlias":"a","ValidationInterval":0` + members + `}}`
	}
	edited := func(edit func(*Policy)) *Policy {
		p := documentedPolicy()
		p.Alias, p.Interval = "a", 0
		edit(&p)
		return &p
	}
	whole := documentedPolicy()
	for name, tc := range map[string]struct {
		text string
		want *Policy
	}{
		"documented": {documented, &whole},
		"a numeric string": {
			`{"SecureSession":true,"SecureSessionConfig":{"Type":"authProfile","ApiAlias":"p","ErrorMessage":"No","ValidationInterval":"10"}}`,
			edited(func(p *Policy) { p.Type, p.Alias, p.Interval, p.Message = AuthProfile, "p", 10*time.Second, "No" }),
		},
		"all": {
			with(`,"TimeoutMs":50,"DenyInterval":"5","FailurePolicy":"grace","GraceSeconds":3600,"SuccessStatus":[200,204],` +
				`"Protect":["ingress","resume","history"],"MaxPendingMessages":1,"HonourMaxAge":false,"ErrorMessage":"<TimelineMessage/>"`),
			edited(func(p *Policy) {
				p.Timeout, p.DenyInterval, p.Grace = 50*time.Millisecond, 5*time.Second, time.Hour
				p.Success, p.History, p.Resume, p.MaxPending = []int{200, 204}, true, true, 1
				p.HonourMaxAge, p.Message = false, "<TimelineMessage/>"
			}),
		},
		"a day":         {strings.Replace(with(""), `:0`, `:86400`, 1), edited(func(p *Policy) { p.Interval = 24 * time.Hour })},
		"off":           {strings.Replace(documented, "true", "false", 1), nil},
		"not mentioned": {`{"Name":"n"}`, nil},
		"off, null":     {`{"SecureSession":false,"SecureSessionConfig":null}`, nil},
		"only a config": {strings.Replace(documented, `"SecureSession": true,`, "", 1), nil},
	} {
		got, err := ParsePolicy([]byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	for members, field := range map[string]string{
		`"SecureSession":"true"`:                          "SecureSession",
		`"SecureSession":1`:                               "SecureSession",
		`"SecureSession":null`:                            "SecureSession",
		`"SecureSession":true`:                            "SecureSessionConfig",
		`"SecureSession":true,"SecureSessionConfig":null`: "SecureSessionConfig",
		`"SecureSession":true,"SecureSessionConfig":[]`:   "SecureSessionConfig",
		`"SecureSession":true,"SecureSessionConfig":{}`:   "SecureSessionConfig.Type",
		`"SecureSessionConfig":{"Type":"jwt"}`:            "SecureSessionConfig.Type",
	} {
		wantField(t, "{"+members+"}", field)
	}
	for members, field := range map[string]string{
		`"Type":"BAAS"`:              "Type",
		`"Type":7`:                   "Type",
		`"ApiAlias":""`:              "ApiAlias",
		`"ApiAlias":null`:            "ApiAlias",
		`"ValidationInterval":-1`:    "ValidationInterval",
		`"ValidationInterval":"-1"`:  "ValidationInterval",
		`"ValidationInterval":"+1"`:  "ValidationInterval",
		`"ValidationInterval":""`:    "ValidationInterval",
		`"ValidationInterval":" 1"`:  "ValidationInterval",
		`"ValidationInterval":1.5`:   "ValidationInterval",
		`"ValidationInterval":1e1`:   "ValidationInterval",
		`"ValidationInterval":"NaN"`: "ValidationInterval",
		`"ValidationInterval":86401`: "ValidationInterval",
		`"ValidationInterval":true`:  "ValidationInterval",
		`"ValidationInterval":null`:  "ValidationInterval",
		`"ValidationInterval":[1]`:   "ValidationInterval",
		`"ErrorMessage":7`:           "ErrorMessage",
		`"Type":"authProfile","ErrorMessage":"<TimelineMessage/>"`: "ErrorMessage",
		`"TimeoutMs":49`:                      "TimeoutMs",
		`"TimeoutMs":30001`:                   "TimeoutMs",
		`"FailurePolicy":"open"`:              "FailurePolicy",
		`"FailurePolicy":"grace"`:             "GraceSeconds",
		`"GraceSeconds":5`:                    "GraceSeconds",
		`"GraceSeconds":3601`:                 "GraceSeconds",
		`"SuccessStatus":[]`:                  "SuccessStatus",
		`"SuccessStatus":200`:                 "SuccessStatus",
		`"SuccessStatus":[200,401]`:           "SuccessStatus",
		`"Protect":[]`:                        "Protect",
		`"Protect":["history"]`:               "Protect",
		`"Protect":["ingress","all"]`:         "Protect",
		`"Protect":["ingress","ingress"]`:     "Protect",
		`"MaxPendingMessages":0`:              "MaxPendingMessages",
		`"HonourMaxAge":"yes"`:                "HonourMaxAge",
		`"validationInterval":60`:             "validationInterval",
		`"Retries":3`:                         "Retries",
		`"DenyInterval":99999999999999999`:    "DenyInterval",
		`"ErrorMessage":"` + long(4097) + `"`: "ErrorMessage",
	} {
		whole := `"Type":"baas","ApiAlias":"a","ValidationInterval":60`
		name, _, _ := strings.Cut(members, ":")
		kept := ""
		for member := range strings.SplitSeq(whole, ",") {
			if !strings.HasPrefix(member, name+":") {
				kept += member + ","
			}
		}
		for _, on := range []string{"true", "false"} { // what is off is checked, too
			wantField(t, `{"SecureSession":`+on+`,"SecureSessionConfig":{`+kept+members+`}}`, "SecureSessionConfig."+field)
		}
	}
	for _, text := range []string{"", "null", "[]", "7", "{"} {
		if _, err := ParsePolicy([]byte(text)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func wantField(t *testing.T, text, field string) {
	t.Helper()
	p, err := ParsePolicy([]byte(text))
	if got := fault.Public(err); err == nil || p != nil || got.Field != field || !strings.Contains(got.Msg, " ") {
		t.Errorf("%s: policy %v, error %v, want one about %s", text, p, err, field)
	}
}

// TestKeep: a record must outlive all that may rest on it.
func TestKeep(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ interval, grace, deny, want time.Duration }{
		{10 * time.Second, 0, 0, 70 * time.Second},
		{10 * time.Second, time.Hour, 0, time.Hour + 70*time.Second},
		{10 * time.Second, 0, time.Hour, time.Hour + time.Minute},
		{0, 0, 0, time.Minute},
	} {
		p := Policy{Interval: tc.interval, Grace: tc.grace, DenyInterval: tc.deny}
		if got := p.Keep(); got != tc.want {
			t.Errorf("%+v: kept for %v", tc, got)
		}
	}
}

func TestPolicyRevision(t *testing.T) {
	t.Parallel()
	p := documentedPolicy()
	one := p.Revision(testKey, "a")
	if one != p.Revision(testKey, "a") || one == p.Revision(testKey, "b") {
		t.Error("the revision does not follow the connector's")
	}
	q := documentedPolicy()
	if q.Revision(testKey, "a") != one {
		t.Error("equal policies have two revisions")
	}
	if q.Success = []int{200, 204}; q.Revision(testKey, "a") == one {
		t.Error("policies that differ have one revision")
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(documented))
	f.Add([]byte(`{"SecureSession":true,"SecureSessionConfig":{"ValidationInterval":"010","TimeoutMs":"1"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicy(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || p != nil {
				t.Fatalf("error %v with policy %v", err, p)
			}
			return
		}
		if p == nil {
			return
		}
		if p.Alias == "" || p.Interval < 0 || p.Interval > maxInterval || p.Timeout < 50*time.Millisecond || p.Timeout > 30*time.Second ||
			p.MaxPending < 1 || len(p.Success) == 0 || len(p.Message) > maxMessage {
			t.Fatalf("accepted %+v", p)
		}
	})
}
