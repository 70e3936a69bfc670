package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/limit"
)

// Bots are those to talk to, by name. What is given takes the place of the default. A
// list of names stands for bots that are all left at their defaults.
type Bots map[bot.ID]*Bot

// UnmarshalText takes names separated by commas.
func (b *Bots) UnmarshalText(text []byte) error {
	*b = Bots{}
	if len(text) == 0 {
		return nil
	}
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		if !plain(name) || (*b)[bot.ID(name)] != nil {
			return errors.New("not a list of names")
		}
		(*b)[bot.ID(name)] = &Bot{}
	}
	return nil
}

// Names are the bots' names in their order.
func (b Bots) Names() []bot.ID { return slices.Sorted(maps.Keys(b)) }

// Bot says who answers. Zero members but the first ones have a default.
type Bot struct {
	Type     string `yaml:"type" enum:"echo,menu,webhook,openai" doc:"What it is; by default that of its name"`
	URL      string `yaml:"url" doc:"Of a webhook: where turns are sent; of openai: the base, to which /chat/completions is added"`
	Secret   string `yaml:"secret" doc:"SRN: of a webhook the secret that calls are signed with; of openai the API key"`
	Previous string `yaml:"previous_secret" doc:"SRN of another secret that a webhook's calls are signed with, too, while secrets are changed"`
	Token    string `yaml:"token" doc:"SRN of the bearer token that lets the bot push messages; without it, it may not"`

	Model   string `yaml:"model" doc:"Of openai"`
	Prompt  string `yaml:"prompt" doc:"What openai is told first, as system"`
	History int    `yaml:"history" doc:"How many messages of the conversation openai is shown; 20 by default"`

	Welcome     string                    `yaml:"welcome" doc:"Text to greet with; \"ask\": the bot says it; \"none\". By default echo, menu and webhooks are asked"`
	Timeout     Duration                  `yaml:"timeout" doc:"Of one call, to the end of its answer; 30s by default"`
	GiveUpAfter Duration                  `yaml:"give_up_after" doc:"How long after a message calls are repeated; 5m by default"`
	Attempts    int                       `yaml:"attempts" doc:"How often at most a message is sent; 20 by default"`
	Concurrency int                       `yaml:"concurrency" doc:"Calls at a time, of each node; 64 by default"`
	Headers     map[string]gateway.Secret `yaml:"headers" doc:"Further headers of each call: a value, or an SRN"`
	Networks    []netip.Prefix            `yaml:"networks" doc:"Networks that are not public in which url may be, such as 127.0.0.0/8"`

	Lifetime       Duration   `yaml:"lifetime" doc:"How old a conversation becomes before the next begins; no end by default"`
	SessionTimeout Duration   `yaml:"session_timeout" doc:"How long after the user's last connection a session has ended; 30m by default"`
	Hooks          []string   `yaml:"hooks" enum:"session.ended,user.offline" doc:"What a webhook is called for besides messages and beginnings; nothing by default"`
	MaxWaiting     int        `yaml:"max_waiting" doc:"How many messages may wait for their answers before more are refused as busy; 2048 by default"`
	Rate           limit.Rate `yaml:"rate" doc:"Messages to the bot that each node takes; no limit by default"`

	SecureSession *SecureSession `yaml:"secure_session" doc:"Let only those talk whom your API vouches for, again and again"`
	EncryptionKey string         `yaml:"encryption_key" doc:"Public P-256 JWK that pages seal messages to which a webhook alone can read, or a token that signs one; the path leads from this file"`
	State         string         `yaml:"state" enum:"running,paused,stopped" doc:"Paused or stopped, it takes no messages; running by default"`
	File          string         `yaml:"file" doc:"A document of the bot in ServisBOT's shape: SecureSession, SecureSessionConfig, State, and the policies of Handlers; the path leads from this file"`

	Document  *BotDocument    // what File says, once it is read; nil: there is none
	Published json.RawMessage // what EncryptionKey has, as [ParseBotKey] returns it
}

// The defaults of bots outside the process.
const (
	botTimeout     = Duration(30 * time.Second)
	botGiveUpAfter = Duration(5 * time.Minute)
	botAttempts    = 20
	botConcurrency = 64
	botHistory     = 20
)

// What welcome can be besides a text.
const (
	WelcomeAsk  = "ask"
	WelcomeNone = "none"
)

// What hooks can have.
const (
	HookEnded   = "session.ended"
	HookOffline = "user.offline"
)

var botTypes = []string{"echo", "menu", "webhook", "openai"}

func (c *Chat) complete() {
	for name, b := range c.Bots {
		b.Type = cmp.Or(b.Type, string(name))
		switch b.Type {
		case "webhook":
			b.Welcome = cmp.Or(b.Welcome, WelcomeAsk)
		case "openai":
			b.Welcome = cmp.Or(b.Welcome, WelcomeNone)
			b.History = cmp.Or(b.History, botHistory)
		default:
			continue
		}
		b.Timeout = cmp.Or(b.Timeout, botTimeout)
		b.GiveUpAfter = cmp.Or(b.GiveUpAfter, botGiveUpAfter)
		b.Attempts = cmp.Or(b.Attempts, botAttempts)
		b.Concurrency = cmp.Or(b.Concurrency, botConcurrency)
	}
}

func (v *validator) bots() {
	for _, name := range v.Chat.Bots.Names() {
		v.bot("chat.bots."+string(name), v.Chat.Bots[name])
	}
}

func (v *validator) bot(path string, b *Bot) {
	bad := func(member, format string, args ...any) { v.bad(join(path, member), format, args...) }
	v.secureSession(path, b)
	v.reference(path+".secret", b.Secret)
	v.reference(path+".previous_secret", b.Previous)
	v.reference(path+".token", b.Token)
	for name, value := range b.Headers {
		if ref := value.SRN(); ref != "" {
			v.srn(path+".headers."+name, ref)
		}
	}
	for _, m := range []struct {
		name  string
		set   bool
		types string // which it belongs to
	}{
		{"url", b.URL != "", "webhook openai"},
		{"secret", b.Secret != "", "webhook openai"},
		{"previous_secret", b.Previous != "", "webhook"},
		{"token", b.Token != "", "webhook"},
		{"model", b.Model != "", "openai"},
		{"prompt", b.Prompt != "", "openai"},
		{"history", b.History != 0, "openai"},
		{"headers", len(b.Headers) > 0, "webhook openai"},
		{"networks", len(b.Networks) > 0, "webhook openai"},
		{"hooks", len(b.Hooks) > 0, "webhook"},
		{"encryption_key", b.EncryptionKey != "", "webhook"},
	} {
		if m.set && slices.Contains(botTypes, b.Type) && !slices.Contains(strings.Fields(m.types), b.Type) {
			bad(m.name, "is not for a bot of the type %s", b.Type)
		}
	}
	switch b.Type {
	case "echo", "menu":
		v.positive(path, b)
		return
	case "webhook":
		if b.Secret == "" {
			bad("secret", "is needed to sign calls with: an SRN, such as srn:vault::%s:secret:my-bot", v.Organization)
		}
	case "openai":
		if b.Model == "" {
			bad("model", "is needed: the name of a model that url serves")
		}
	default:
		if path == "chat.bots."+b.Type { // it was left out
			v.bad(path, "needs a type: %s%s", oneOf(botTypes), suggest(b.Type, botTypes))
			return
		}
		bad("type", "must be %s%s", oneOf(botTypes), suggest(b.Type, botTypes))
		return
	}
	if u, err := url.Parse(b.URL); err != nil || !absolute(u) || u.Fragment != "" {
		bad("url", "must be an http or https URL")
	}
	v.positive(path, b)
	v.limited(path+".timeout", b.Timeout)
	v.limited(path+".give_up_after", b.GiveUpAfter)
	for _, name := range slices.Sorted(maps.Keys(b.Headers)) {
		if !headerName(name) {
			bad("headers."+name, "must be the name of a header that is not Carnet's own: not Content-*, Host, Webhook-* and the like")
		}
	}
}

func (v *validator) positive(path string, b *Bot) {
	for name, n := range map[string]int64{
		"attempts": int64(b.Attempts), "concurrency": int64(b.Concurrency), "history": int64(b.History),
		"timeout": int64(b.Timeout), "give_up_after": int64(b.GiveUpAfter), "max_waiting": int64(b.MaxWaiting),
	} {
		if n < 0 {
			v.bad(join(path, name), "must be more than nothing")
		}
	}
	for name, d := range map[string]Duration{"lifetime": b.Lifetime, "session_timeout": b.SessionTimeout} {
		if d != 0 && (d < Duration(time.Minute) || d == Forever) {
			v.bad(join(path, name), "must be a minute at least and have an end; leave it out for the default")
		}
	}
	if b.Concurrency > 4096 {
		v.bad(join(path, "concurrency"), "must be at most 4096")
	}
	if b.History > 200 {
		v.bad(join(path, "history"), "must be at most 200")
	}
}

// headerName tells whether an operator may set the header of a call.
func headerName(name string) bool {
	lower := strings.ToLower(name)
	for _, own := range []string{"content-", "webhook-", "proxy-", "transfer-"} {
		if strings.HasPrefix(lower, own) {
			return false
		}
	}
	return name != "" && strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" &&
		!slices.Contains([]string{"host", "connection", "upgrade", "te", "trailer", "accept", "accept-encoding"}, lower)
}

// isListed tells whether a list of names may stand for a map of type t, which replaces
// its default.
func isListed(t reflect.Type) bool { return t == reflect.TypeFor[Bots]() }

// fresh is a new value of a map of type t, with its defaults.
func fresh(t reflect.Type) any {
	if isListed(t) {
		return &Bot{}
	}
	return defaultKeySet("ES256")
}
