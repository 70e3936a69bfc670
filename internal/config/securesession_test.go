package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// strict is the policy of a bot that says no more than it must.
func strict(edit func(*securesession.Policy)) *securesession.Policy {
	p := &securesession.Policy{
		Type: securesession.Baas, Alias: "Verify", Interval: time.Minute, Timeout: 3 * time.Second,
		Success: []int{200}, MaxPending: 32, HonourMaxAge: true,
	}
	edit(p)
	return p
}

func TestSecureSession(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		secure string // the members of secure_session
		want   *securesession.Policy
		refuse string // parts of the error, between |
	}{
		"plain":   {`{connector: Verify, interval: 60s}`, strict(func(*securesession.Policy) {}), ""},
		"no type": {`{type: baas, connector: Verify, interval: 1m}`, strict(func(*securesession.Policy) {}), ""},
		"all": {
			`{connector: verify, interval: 10s, error_message: Sign in., timeout: 1500ms, deny_interval: 5s, grace: 30s,
        success: [200, 204], protect: [ingress, history, resume], max_pending: 4, ignore_max_age: true}`,
			&securesession.Policy{
				Type: securesession.Baas, Alias: "verify", Interval: 10 * time.Second, Message: "Sign in.", Timeout: 1500 * time.Millisecond,
				DenyInterval: 5 * time.Second, Grace: 30 * time.Second, Success: []int{200, 204}, History: true, Resume: true, MaxPending: 4,
			}, "",
		},
		"profile": {`{type: authProfile, profile: bank, interval: 60s}`, strict(func(p *securesession.Policy) {
			p.Type, p.Alias = securesession.AuthProfile, "bank"
		}), ""},
		"unknown profile":   {`{type: authProfile, profile: bnk, interval: 60s}`, nil, `echo.secure_session: there is no auth profile "bnk"|did you mean "bank"`},
		"unknown connector": {`{connector: verfy}`, nil, `echo.secure_session.connector: there is no connector "verfy"|did you mean "verify"`},
		"no connector":      {`{interval: 60s}`, nil, `echo.secure_session.connector: must name a connector`},
		"both":              {`{connector: Verify, profile: bank}`, nil, `secure_session.connector: must be set, and not the one of the other type`},
		"other's":           {`{type: authProfile, connector: Verify}`, nil, `secure_session.profile: must be set`},
		"unknown type":      {`{type: jwt, connector: Verify}`, nil, `secure_session.type: must be baas or authProfile`},
		"part of a second":  {`{connector: Verify, interval: 1500ms}`, nil, `secure_session.interval: must be whole seconds`},
		"no end":            {`{connector: Verify, interval: forever}`, nil, `secure_session.interval: must be whole seconds`},
		"negative":          {`{connector: Verify, deny_interval: -1s}`, nil, `secure_session.deny_interval: must be`},
		"short timeout":     {`{connector: Verify, timeout: 1ms}`, nil, `secure_session.timeout: must be 50ms to 30s`},
		"long grace":        {`{connector: Verify, grace: 2h}`, nil, `secure_session.grace: must be whole seconds up to 1h`},
		"a no for a yes":    {`{connector: Verify, success: [401]}`, nil, `secure_session.success: must be a list of statuses`},
		"ingress is open":   {`{connector: Verify, protect: [history]}`, nil, `secure_session.protect: must be a list of "ingress"`},
		"long message":      {`{connector: Verify, error_message: ` + strings.Repeat("x", 5000) + `}`, nil, `secure_session.error_message: must have at most`},
		"too many wait":     {`{connector: Verify, max_pending: 9999}`, nil, `secure_session.max_pending: must be a whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yaml := "connectors: [verify.json, bank.json]\nchat:\n  bots:\n    echo:\n      secure_session: " + tc.secure + "\n"
			c, err := loadWith(t, yaml, map[string]string{"verify.json": connectorJSON, "bank.json": profileJSON})
			if tc.want == nil {
				for part := range strings.SplitSeq(tc.refuse, "|") {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("Load() error = %v, want %q", err, part)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c.Chat.Bots["echo"].Policy()); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
		})
	}
}

// documentJSON is a bot as ServisBOT's documentation shows one.
const documentJSON = `{
	"SecureSession": true,
	"SecureSessionConfig": {"Type": "baas", "ValidationInterval": "60", "ApiAlias": "Verify"},
	"State": "Paused", "Name": "teller", "DisplayName": "Teller", "Organization": "acme",
	"Srn": "srn:botnet:eu-private-3:acme:bot:teller", "Created": 1, "Workers": [{"Type": "flow", "Id": "x"}], "Colour": "red",
	"Handlers": {
		"conversationCreated": {"actions": [
			{"type": "setPolicy", "value": {"userSession": {"expireOnInactivityInMinutes": 15}, "conversation": {"maxDurationInMinutes": 720}}},
			{"type": "message", "value": "Hello"}
		]}
	}
}`

func TestBotFile(t *testing.T) {
	t.Parallel()
	files := func() map[string]string {
		return map[string]string{"verify.json": connectorJSON, "bots/teller.json": documentJSON}
	}
	const head = "connectors: [verify.json]\nchat:\n  bots:\n    teller:\n      type: echo\n      file: bots/teller.json\n"
	c, err := loadWith(t, head, files())
	if err != nil {
		t.Fatal(err)
	}
	b := c.Chat.Bots["teller"]
	if b.State != BotPaused || b.Lifetime != Duration(12*time.Hour) || b.SessionTimeout != Duration(15*time.Minute) {
		t.Errorf("bot = %+v", b)
	}
	if diff := cmp.Diff(strict(func(*securesession.Policy) {}), b.Policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if c, err = loadWith(t, head+"      state: running\n      lifetime: 1h\n      session_timeout: 1m\n", files()); err != nil {
		t.Fatal(err)
	}
	if b := c.Chat.Bots["teller"]; b.State != BotRunning || b.Lifetime != Duration(time.Hour) || b.SessionTimeout != Duration(time.Minute) {
		t.Errorf("the file does not go first: %+v", b)
	}
	var printed strings.Builder
	if err := c.Print(&printed, false); err != nil {
		t.Fatal(err)
	}
	if _, err := loadWith(t, printed.String(), files()); err != nil {
		t.Errorf("what is printed is refused: %v", err)
	}
	for name, tc := range map[string]struct{ yaml, doc, want string }{
		"no file":           {head, "", "teller.json: cannot be read"},
		"not JSON":          {head, "{", "teller.json: must be one JSON object"},
		"wrong interval":    {head, strings.Replace(documentJSON, `"60"`, `"soon"`, 1), "chat.bots.teller.file: |teller.json: /SecureSessionConfig/ValidationInterval: must be"},
		"unknown connector": {head, strings.Replace(documentJSON, `"Verify"`, `"other"`, 1), `chat.bots.teller.file: there is no connector "other"`},
		"said twice":        {head + "      secure_session: {connector: Verify}\n", documentJSON, "secure_session: is said by file, too"},
	} {
		all := files()
		if all["bots/teller.json"] = tc.doc; tc.doc == "" {
			delete(all, "bots/teller.json")
		}
		_, err := loadWith(t, tc.yaml, all)
		for part := range strings.SplitSeq(tc.want, "|") {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: Load() error = %v, want %q", name, err, part)
			}
		}
	}
}

func TestParseBot(t *testing.T) {
	t.Parallel()
	d, err := ParseBot([]byte(documentJSON))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/Handlers/conversationCreated/actions/1 is not carried over", "/Colour is not known",
		"/Workers is not carried over: type and url of the bot say who answers",
	}
	if diff := cmp.Diff(want, d.Warnings); diff != "" || d.Name != "teller" {
		t.Errorf("name %q, warnings (-want +got):\n%s", d.Name, diff)
	}
	for doc, field := range map[string]string{
		`[]`:                                "",
		`null`:                              "",
		`{"SecureSession":"yes"}`:           "/SecureSession",
		`{"State":"Asleep"}`:                "/State",
		`{"State":1}`:                       "/State",
		`{"Name":{}}`:                       "/Name",
		`{"Handlers":[]}`:                   "/Handlers",
		`{"Handlers":{"x":{"actions":{}}}}`: "/Handlers",
		policyDoc(`[]`):                     "/Handlers/conversationCreated/actions/0/value",
		policyDoc(`{"userSession":{"expireOnInactivityInMinutes":-1}}`):            "/Handlers/conversationCreated/actions/0/value/userSession/expireOnInactivityInMinutes",
		policyDoc(`{"conversation":{"maxDurationInMinutes":9000000000000000000}}`): "/Handlers/conversationCreated/actions/0/value/conversation/maxDurationInMinutes",
	} {
		if _, err := ParseBot([]byte(doc)); err == nil || fault.Public(err).Field != field {
			t.Errorf("ParseBot(%s) error = %v of %q, want one of %q", doc, err, fault.Public(err).Field, field)
		}
	}
}

func policyDoc(value string) string {
	return `{"Handlers":{"conversationCreated":{"actions":[{"type":"setPolicy","value":` + value + `}]}}}`
}

func FuzzParseBot(f *testing.F) {
	f.Add([]byte(documentJSON))
	f.Add([]byte(policyDoc(`{"userSession":{"expireOnInactivityInMinutes":1}}`)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := ParseBot(doc)
		switch {
		case err != nil:
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("error = %v, which is not about the document", err)
			}
		case d.Lifetime < 0 || d.SessionTimeout < 0:
			t.Errorf("a life of %v and %v", d.Lifetime, d.SessionTimeout)
		}
	})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		`{connectors: [v.json], login: {connector: verify}}`:                                          "",
		`{connectors: [v.json], login: {connector: Verify, refresh: verify, scopes: [chat, orders]}}`: "",
		`{connectors: [v.json], login: {connector: verif}}`:                                           `login.connector: there is no connector "verif"`,
		`{connectors: [v.json], login: {connector: verify, refresh: x}}`:                              `login.refresh: there is no connector "x"`,
		`{connectors: [v.json], login: {connector: verify, scopes: ["a b"]}}`:                         `login.scopes[0]: must be printable`,
		`{connectors: [v.json], login: {scopes: [chat]}}`:                                             `login: needs connector`,
		`{login: {title: Example, session_ttl: 1m}}`:                                                  "",
		`{login: {title: ""}}`:            `login.title: must be 1 to 64 bytes`,
		`{login: {title: "a\nb"}}`:        `login.title: must be 1 to 64 bytes`,
		`{login: {session_ttl: 59s}}`:     `login.session_ttl: must be at least 1m`,
		`{login: {session_ttl: forever}}`: `login.session_ttl: must be at least 1m and have an end`,
	} {
		_, err := loadWith(t, yaml, map[string]string{"v.json": connectorJSON})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}
