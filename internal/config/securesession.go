package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// SecureSession lets a bot talk only with those whom somebody vouches for, in the words
// of this file; a document of a bot has others for the same.
type SecureSession struct {
	Type         string   `yaml:"type" enum:"baas,authProfile" doc:"Who vouches: baas, your API (default); authProfile, an OAuth 2 provider that users sign in with"`
	Connector    string   `yaml:"connector" doc:"Of baas: alias of the API connector that asks your API"`
	Profile      string   `yaml:"profile" doc:"Of authProfile: alias of the profile"`
	Interval     Duration `yaml:"interval" doc:"How long a yes is good, in whole seconds; 0s: for one message"`
	ErrorMessage string   `yaml:"error_message" doc:"What a locked-out user is told: text or markup"`
	Timeout      Duration `yaml:"timeout" doc:"Of one call; 3s by default"`
	DenyInterval Duration `yaml:"deny_interval" doc:"How long a no is good; by default the next message asks again"`
	Grace        Duration `yaml:"grace" doc:"How long past its end a yes is good while your API does not answer; by default not at all"`
	Success      []int    `yaml:"success" doc:"Statuses that are a yes; 200 by default"`
	Protect      []string `yaml:"protect" enum:"ingress,history,resume" doc:"What is kept from those who are locked out; ingress by default, which is always"`
	MaxPending   int      `yaml:"max_pending" doc:"Messages of one conversation that wait for an answer; 32 by default"`
	IgnoreMaxAge bool     `yaml:"ignore_max_age" doc:"Do not let the answer's Cache-Control shorten interval"`
}

// States of a bot.
const (
	BotRunning = "running"
	BotPaused  = "paused"
	BotStopped = "stopped"
)

// Policy is what secures the sessions with the bot, as this file or the bot's own
// document says; nil: nothing does. The bot must be one of a valid configuration.
func (b *Bot) Policy() *securesession.Policy {
	if b.SecureSession != nil {
		p, err := b.SecureSession.policy()
		if err != nil {
			return nil // refused by Validate
		}
		return p
	}
	if b.Document != nil {
		return b.Document.Policy
	}
	return nil
}

// documented are the members of a bot's document that say what ours do.
var documented = map[string]string{
	"Type": "type", "ErrorMessage": "error_message", "SuccessStatus": "success", "Protect": "protect", "MaxPendingMessages": "max_pending",
}

// policy says in the documented words what s says, so that one parser knows the rules.
func (s *SecureSession) policy() (*securesession.Policy, error) {
	for _, d := range []struct {
		member      string
		value       Duration
		unit        time.Duration
		least, most time.Duration
		want        string
	}{
		{"interval", s.Interval, time.Second, 0, 24 * time.Hour, "must be whole seconds up to 24h"},
		{"deny_interval", s.DenyInterval, time.Second, 0, 24 * time.Hour, "must be whole seconds up to 24h"},
		{"grace", s.Grace, time.Second, 0, time.Hour, "must be whole seconds up to 1h"},
		{"timeout", s.Timeout, time.Millisecond, 50 * time.Millisecond, 30 * time.Second, "must be 50ms to 30s"},
	} {
		if v := d.value.Std(); v != 0 && (v < d.least || v > d.most || v%d.unit != 0) {
			return nil, fault.BadField(d.member, d.want)
		}
	}
	alias, member, other := s.Connector, "connector", s.Profile
	if s.Type == string(securesession.AuthProfile) {
		alias, member, other = s.Profile, "profile", s.Connector
	}
	if other != "" {
		return nil, fault.BadField(member, "must be set, and not the one of the other type")
	}
	doc := map[string]any{
		"Type": string(securesession.Baas), "ApiAlias": alias, "ErrorMessage": s.ErrorMessage, "HonourMaxAge": !s.IgnoreMaxAge,
		"ValidationInterval": int(s.Interval.Std() / time.Second), "DenyInterval": int(s.DenyInterval.Std() / time.Second),
	}
	if s.Type != "" {
		doc["Type"] = s.Type
	}
	if s.Timeout != 0 {
		doc["TimeoutMs"] = s.Timeout.Std().Milliseconds()
	}
	if s.Grace != 0 {
		doc["FailurePolicy"], doc["GraceSeconds"] = "grace", int(s.Grace.Std()/time.Second)
	}
	if len(s.Success) > 0 {
		doc["SuccessStatus"] = s.Success
	}
	if len(s.Protect) > 0 {
		doc["Protect"] = s.Protect
	}
	if s.MaxPending != 0 {
		doc["MaxPendingMessages"] = s.MaxPending
	}
	text, err := json.Marshal(map[string]any{"SecureSession": true, "SecureSessionConfig": doc})
	if err != nil {
		return nil, err
	}
	p, err := securesession.ParsePolicy(text)
	if err == nil {
		return p, nil
	}
	public := fault.Public(err)
	_, name, _ := strings.Cut(public.Field, ".")
	if ours := documented[name]; ours != "" {
		member = ours
	}
	return nil, fault.BadField(member, public.Msg)
}

// secureSession checks what secures a bot's sessions.
func (v *validator) secureSession(path string, b *Bot) {
	at := path + ".secure_session"
	switch {
	case b.SecureSession == nil:
		at = path + ".file"
	case b.Document != nil && b.Document.Policy != nil:
		v.bad(at, "is said by file, too: leave out one of them")
		return
	default:
		if _, err := b.SecureSession.policy(); err != nil {
			public := fault.Public(err)
			v.bad(join(at, public.Field), "%s", public.Msg)
			return
		}
		at += ".connector"
	}
	switch p := b.Policy(); {
	case p == nil:
	case p.Type == securesession.Baas:
		v.alias(at, p.Alias)
	default:
		v.profile(strings.TrimSuffix(at, ".connector"), p.Alias)
	}
}

// profile is alias for auth profiles.
func (v *validator) profile(path, alias string) {
	apis, err := v.APIs()
	if err != nil || apis.Profiles[strings.ToLower(alias)] != nil {
		return
	}
	v.bad(path, "there is no auth profile %q%s", alias, suggest(alias, slices.Sorted(maps.Keys(apis.Profiles))))
}

// alias wants a connector to be there. If files of connectors cannot be read, they are
// what is wrong.
func (v *validator) alias(path, alias string) {
	apis, err := v.APIs()
	if err != nil {
		return
	}
	if known := apis.Names(); apis.Connectors[strings.ToLower(alias)] == nil {
		v.bad(path, "there is no connector %q%s", alias, suggest(alias, known))
	}
}
