package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/limit"

	"github.com/carnetproject/carnet/internal/bot"
)

const webhookBot = `
chat:
  bots:
    support:
      type: webhook
      url: https://bots.example.com/support
      secret: srn:vault::default:secret:support
`

func TestBots(t *testing.T) {
	t.Parallel()
	builtIn := Bots{"echo": {Type: "echo"}, "menu": {Type: "menu"}}
	support := Bots{"support": {
		Type: "webhook", URL: "https://bots.example.com/support", Secret: "srn:vault::default:secret:support", Welcome: "ask",
		Timeout: Duration(30 * time.Second), GiveUpAfter: Duration(5 * time.Minute), Attempts: 20, Concurrency: 64,
	}}
	for name, tc := range map[string]struct {
		file    string
		environ string
		want    Bots
	}{
		"default":          {"", "", builtIn},
		"list":             {"chat: {bots: [menu]}", "", Bots{"menu": {Type: "menu"}}},
		"list of none":     {"chat: {bots: []}", "", Bots{}},
		"empty":            {"chat: {bots: }", "", builtIn},
		"mapping replaces": {webhookBot, "", support},
		"bare names":       {"chat: {bots: {echo: , menu: {}}}", "", builtIn},
		"another name":     {"chat: {bots: {parrot: {type: echo, welcome: Hi}}}", "", Bots{"parrot": {Type: "echo", Welcome: "Hi"}}},
		"environment":      {webhookBot, "CARNET_CHAT_BOTS=echo, menu", builtIn},
		"openai": {"chat: {bots: {ai: {type: openai, url: 'https://ai.example/v1', model: m, timeout: 5s, history: 3}}}", "", Bots{"ai": {
			Type: "openai", URL: "https://ai.example/v1", Model: "m", History: 3, Welcome: "none",
			Timeout: Duration(5 * time.Second), GiveUpAfter: Duration(5 * time.Minute), Attempts: 20, Concurrency: 64,
		}}},
		"life": {"chat: {bots: {echo: {lifetime: 24h, session_timeout: 10m, max_waiting: 9, rate: 10/s}}}", "", Bots{"echo": {
			Type: "echo", Lifetime: Duration(24 * time.Hour), SessionTimeout: Duration(10 * time.Minute),
			MaxWaiting: 9, Rate: limit.Rate{N: 10, Per: time.Second},
		}}},
		"hooks": {webhookBot + "      hooks: [session.ended]\n", "", Bots{"support": {
			Type: "webhook", URL: "https://bots.example.com/support", Secret: "srn:vault::default:secret:support", Welcome: "ask",
			Timeout: Duration(30 * time.Second), GiveUpAfter: Duration(5 * time.Minute), Attempts: 20, Concurrency: 64,
			Hooks: []string{HookEnded},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := loadText(t, tc.file, tc.environ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c.Chat.Bots); diff != "" {
				t.Errorf("bots (-want +got):\n%s", diff)
			}
			var out strings.Builder
			if err := c.Print(&out, false); err != nil {
				t.Fatal(err)
			}
			again, err := loadText(t, out.String(), "")
			if err != nil {
				t.Fatalf("what was printed cannot be read: %v", err)
			}
			if diff := cmp.Diff(tc.want, again.Chat.Bots); diff != "" {
				t.Errorf("bots printed and read again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBotsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, want string }{
		"word":          {"chat: {bots: echo}", "chat.bots: must be a list of names"},
		"twice":         {"chat: {bots: [echo, echo]}", "each once"},
		"unknown name":  {"chat: {bots: [ehco]}", `chat.bots.ehco: needs a type: echo, menu, webhook or openai; did you mean "echo"?`},
		"unknown type":  {"chat: {bots: {a: {type: webhok}}}", `chat.bots.a.type: must be echo, menu, webhook or openai; did you mean "webhook"?`},
		"bad name":      {"chat: {bots: {'A b': {type: echo}}}", "a name is 1 to 64 of"},
		"unknown key":   {"chat: {bots: {a: {type: echo, ulr: x}}}", `a.ulr: unknown key; did you mean "url"?`},
		"no url":        {strings.Replace(webhookBot, "url: https", "model: https", 1), "support.url: must be an http or https URL"},
		"other scheme":  {strings.Replace(webhookBot, "https:", "ftp:", 1), "support.url: must be an http or https URL"},
		"password":      {strings.Replace(webhookBot, "https://", "https://me:pw@", 1), "support.url: must be an http or https URL"},
		"no secret":     {strings.Replace(webhookBot, "secret:", "token:", 1), "support.secret: is needed to sign calls with"},
		"plain secret":  {strings.Replace(webhookBot, "srn:vault::default:secret:support", "hush", 1), "support.secret: must be an SRN"},
		"others' SRN":   {strings.Replace(webhookBot, "::default:", "::other:", 1), "support.secret: "},
		"not its":       {webhookBot + "      model: m\n", "support.model: is not for a bot of the type webhook"},
		"echo's url":    {"chat: {bots: {echo: {url: 'http://x'}}}", "echo.url: is not for a bot of the type echo"},
		"no model":      {"chat: {bots: {ai: {type: openai, url: 'https://x'}}}", "ai.model: is needed"},
		"endless":       {webhookBot + "      timeout: forever\n", "support.timeout: must be more than nothing and have an end"},
		"negative":      {webhookBot + "      attempts: -1\n", "support.attempts: must be more than nothing"},
		"too many":      {webhookBot + "      concurrency: 5000\n", "support.concurrency: must be at most 4096"},
		"too long":      {"chat: {bots: {ai: {type: openai, url: 'https://x', model: m, history: 201}}}", "ai.history: must be at most 200"},
		"short session": {webhookBot + "      session_timeout: 59s\n", "support.session_timeout: must be a minute at least"},
		"endless life":  {"chat: {bots: {echo: {lifetime: forever}}}", "echo.lifetime: must be a minute at least"},
		"no hook":       {webhookBot + "      hooks: [session.ending]\n", `hooks[0]: must be session.ended or user.offline; did you mean "session.ended"?`},
		"hook of none":  {"chat: {bots: {echo: {hooks: [user.offline]}}}", "echo.hooks: is not for a bot of the type echo"},
		"less waiting":  {webhookBot + "      max_waiting: -1\n", "support.max_waiting: must be more than nothing"},
		"own header":    {webhookBot + "      headers: {Webhook-Id: x}\n", "headers.Webhook-Id: must be the name of a header"},
		"broken header": {webhookBot + "      headers: {'a b': x}\n", "headers.a b: must be the name of a header"},
		"bad network":   {webhookBot + "      networks: [localhost]\n", "support.networks[0]: must be a network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := loadText(t, tc.file, ""); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestBotOfNoTypeIsToldOfItsTypeAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, want string }{
		"unknown":  {strings.Replace(webhookBot, "webhook", "webhok", 1), "support.type: must be"},
		"left out": {strings.Replace(webhookBot, "      type: webhook\n", "", 1), "support: needs a type: echo, menu, webhook or openai"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := loadText(t, tc.file, ""); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Load() = %v, want %q and nothing else", err, tc.want)
			}
		})
	}
}

func TestBotHeadersAreSecret(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, webhookBot+"      headers: {Authorization: hunter2, X-Key: 'srn:vault::default:secret:k'}\n", "")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, "srn:vault::default:secret:k") {
		t.Errorf("printed\n%s", s)
	}
	if got := c.Chat.Bots.Names(); !cmp.Equal(got, []bot.ID{"support"}) {
		t.Errorf("Names() = %v", got)
	}
}

// loadText loads a file of the text, with at most one variable.
func loadText(t *testing.T, text, environ string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carnet.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Path: path}
	if environ != "" {
		o.Environ = []string{environ}
	}
	return Load(o)
}
