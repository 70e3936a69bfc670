package server

import (
	"context"
	"encoding/json"
	"reflect"

	chatapi "github.com/carnetproject/carnet/internal/api/chat"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/secret"
)

// cast are the bots that a configuration names, ready to answer.
type cast struct {
	named config.Bots
	ready bot.Registry
}

// recast makes the bots of a configuration, whose secrets must be there. Those that it has
// as they were are the same ones.
func (s *Server) recast(ctx context.Context, c *config.Config, was cast) (cast, error) {
	now := cast{c.Chat.Bots, bot.Registry{}}
	for _, id := range now.named.Names() {
		b := now.named[id]
		if e := was.ready[id]; e != nil && reflect.DeepEqual(was.named[id], b) {
			now.ready[id] = e
			continue
		}
		made, err := s.bot(ctx, b)
		if err != nil {
			return cast{}, c.Locate("chat.bots."+string(id), err)
		}
		switch b.Welcome {
		case "", config.WelcomeAsk:
		case config.WelcomeNone:
			made = bot.Greeting{Bot: made}
		default:
			made = bot.Greeting{Bot: made, Text: b.Welcome}
		}
		now.ready[id] = &bot.Entry{Bot: made, Policy: bot.Policy{
			Workers: b.Concurrency, Attempts: b.Attempts, GiveUp: b.GiveUpAfter.Std(), Timeout: b.Timeout.Std(),
			Hooks: hooksOf(b),
		}}
	}
	return now, nil
}

// hooksOf are the hooks that a bot wants to be called for.
func hooksOf(b *config.Bot) (kinds []bot.Kind) {
	for _, h := range b.Hooks {
		kinds = append(kinds, map[string]bot.Kind{config.HookEnded: bot.Ended, config.HookOffline: bot.Offline}[h])
	}
	return kinds
}

// lives are how conversations with the bots live.
func (c cast) lives() map[bot.ID]chat.Policy {
	policies := map[bot.ID]chat.Policy{}
	for id, b := range c.named {
		policies[id] = chat.Policy{
			Lifetime: b.Lifetime.Std(), SessionTimeout: b.SessionTimeout.Std(), Hooks: len(b.Hooks) > 0,
			Waiting: b.MaxWaiting, Rate: b.Rate,
		}
	}
	return policies
}

func (s *Server) bot(ctx context.Context, b *config.Bot) (bot.Bot, error) {
	switch b.Type {
	case "echo":
		return bot.Echo{}, nil
	case "menu":
		return bot.NewMenu(bot.DefaultMenu())
	}
	return s.renew(ctx, b)
}

// outside makes a bot outside the process, with what its secrets are now.
func (s *Server) outside(ctx context.Context, b *config.Bot) (bot.Streamer, error) {
	head, err := s.core.headers(ctx, b.Headers)
	if err != nil {
		return nil, err
	}
	at := bot.Endpoint{URL: b.URL, Networks: b.Networks, Calls: b.Concurrency, Headers: head}
	var secrets []secret.Bytes
	for _, ref := range []string{b.Secret, b.Previous} {
		if ref == "" {
			continue
		}
		v, err := s.core.Secrets.Resolve(ctx, ref)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, v)
	}
	if b.Type == "webhook" {
		return bot.NewWebhook(bot.WebhookConfig{Endpoint: at, Secrets: secrets, Clock: s.core.now})
	}
	o := bot.OpenAIConfig{Endpoint: at, Model: b.Model, Prompt: b.Prompt, Window: b.History, History: past{s.core.store}}
	if len(secrets) > 0 {
		o.Key = secrets[0]
	}
	return bot.NewOpenAI(o)
}

// pushTokens are those of the bots of a configuration that may push.
func (s *Server) pushTokens(ctx context.Context, c *config.Config) (chatapi.PushTokens, error) {
	tokens := map[bot.ID]secret.Bytes{}
	for id, b := range c.Chat.Bots {
		if b.Token == "" {
			continue
		}
		t, err := s.core.Secrets.Resolve(ctx, b.Token)
		if err != nil {
			return chatapi.PushTokens{}, c.Locate("chat.bots."+string(id)+".token", err)
		}
		tokens[id] = t
	}
	t, err := chatapi.NewPushTokens(tokens)
	return t, c.Locate("chat.bots", err)
}

// botKeys are those that bots publish for who seals to them.
func botKeys(bots config.Bots) chatapi.BotKeys {
	keys := chatapi.BotKeys{}
	for id, b := range bots {
		if b.Published != nil {
			keys[id] = b.Published
		}
	}
	return keys
}

// past is what was said in conversations, for bots.
type past struct{ store store }

// Said leaves out what has no text, and what neither the user nor the bot has said.
func (p past) Said(ctx context.Context, conversation string, before int64, limit int) ([]bot.Line, error) {
	ms, err := p.store.MessagesBefore(ctx, chat.ID(conversation), before, limit)
	if err != nil {
		return nil, err
	}
	var lines []bot.Line
	for _, m := range ms {
		var body struct {
			Text string `json:"text"`
		}
		if json.Unmarshal(m.Body, &body) == nil && body.Text != "" && m.From != chat.FromSystem {
			lines = append(lines, bot.Line{User: m.From == chat.FromUser, Text: body.Text})
		}
	}
	return lines, nil
}
