package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/internal/securesession"
)

// fingerprintPurpose is what the key of fingerprints is derived for.
const fingerprintPurpose = "secure-session:v1"

// gate is what stands before the bots that do not take everybody's messages.
type gate struct{ *securesession.Gate }

var _ chat.Gate = gate{}

// gate makes the gate; nil if all bots take everybody's messages. What engine returns is
// asked for when the node serves.
func (s *Server) gate(ctx context.Context, engine func() *chat.Engine) (*gate, error) {
	posts, err := s.posts()
	if err != nil || len(posts) == 0 {
		return nil, err
	}
	for _, p := range posts {
		p.learn(ctx)
	}
	key, err := s.core.sealed.Derive(fingerprintPurpose)
	if err != nil {
		return nil, err
	}
	g := &gate{}
	g.Gate, err = securesession.New(securesession.Config{
		Store: s.core.store, Key: key, Node: rand.Text(), Log: s.core.log,
		Guard: func(b string) *securesession.Guard { return posts[bot.ID(b)].guard() },
		Merge: func(ctx context.Context, conversation string, set json.RawMessage) error {
			return engine().SetServerContext(ctx, chat.ID(conversation), set)
		},
		Notify:   func(conversation string, n securesession.Notice) { engine().Secure(chat.ID(conversation), n) },
		Observer: &audit{s.metrics.SecureSessions(func() securesession.Stats { return g.Stats() }), s.core.log},
	})
	return g, err
}

func (g gate) Guards(b bot.ID) bool { return g.Gate.Guards(string(b)) }

func (g gate) Enter(a chat.Ask) chat.Verdict { return g.Gate.Enter(inGate(a)) }

func (g gate) Protect(ctx context.Context, a chat.Ask, s securesession.Surface) error {
	return g.Gate.Protect(ctx, inGate(a), s)
}

func (g gate) Standing(ctx context.Context, a chat.Ask) (securesession.Notice, bool) {
	return g.Gate.Standing(ctx, inGate(a))
}

func (g gate) Forget(b bot.ID, id chat.ID) {
	g.Gate.Forget(securesession.Key{Bot: string(b), Conversation: string(id)})
}

// inGate says in the gate's words who asks.
func inGate(a chat.Ask) securesession.Ask {
	identity := a.User.Issuer + "\x00" + a.User.Subject
	actor := connector.NewActor(a.Addr, identity)
	if !a.Addr.IsValid() { // users must not shut each other out
		actor[connector.ByAddress] = identity
	}
	return securesession.Ask{
		Key: securesession.Key{Bot: string(a.Bot), Conversation: string(a.ID)}, Message: a.Message,
		Subject: securesession.Subject{Identity: identity, Context: a.Context, Actor: actor},
	}
}

// post is a bot that something stands before.
type post struct {
	policy  *securesession.Policy
	stopped bool
	apis    *connectors
	signIns *authprofile.Broker // nil: there are no auth profiles
	latest  atomic.Pointer[manned]
}

// manned is a guard and the client that it asks with.
type manned struct {
	client  *connector.Client
	profile *authprofile.Profile // nil: the policy names none
	guard   securesession.Guard
}

// posts are the bots of the configuration that are secured, or do not run.
func (s *Server) posts() (map[bot.ID]*post, error) {
	c := s.core.Config
	posts := map[bot.ID]*post{}
	for _, id := range c.Chat.Bots.Names() {
		b := c.Chat.Bots[id]
		p := &post{policy: b.Policy(), stopped: b.State == config.BotPaused || b.State == config.BotStopped, apis: s.connectors, signIns: s.broker}
		switch {
		case p.policy == nil && !p.stopped:
			continue
		case p.policy == nil:
			p.policy = &securesession.Policy{}
		default:
			if err := p.find(); err != nil {
				return nil, c.Locate("chat.bots."+string(id), err)
			}
		}
		if p.stopped {
			p.latest.Store(&manned{guard: securesession.Guard{Policy: p.policy, Stopped: true}})
		}
		posts[id] = p
	}
	return posts, nil
}

// guard is what stands before the bot with the client that is in force now; nil: nothing.
// While a connector is gone its last client stays: a bot never goes without its guard.
func (p *post) guard() *securesession.Guard {
	if p == nil {
		return nil
	}
	if !p.stopped {
		_ = p.find()
	}
	return &p.latest.Load().guard
}

// learn has the client find its secrets, whose versions decisions are bound to: who was
// let in on another node is not asked about again.
func (p *post) learn(ctx context.Context) {
	if m := p.latest.Load(); m.client != nil {
		m.client.Learn(ctx)
	}
}

// find mans the post with the client that the policy leads to. An error says what is not
// there.
func (p *post) find() error {
	client, profile, err := p.client()
	if err != nil {
		return err
	}
	if now := p.latest.Load(); now != nil && now.client == client && now.profile == profile {
		return nil
	}
	a, err := p.authorizer(client)
	if err == nil {
		p.latest.Store(&manned{client, profile, securesession.Guard{Policy: p.policy, Authorizer: a}})
	}
	return err
}

// audit notes what a gate does, and nothing that users or authorizers say.
type audit struct {
	*observe.SecureSessions
	log *slog.Logger
}

// Decided counts a decision. That something was blocked is logged: a message, or without
// one the look at what was said.
func (a *audit) Decided(d securesession.Decision) {
	a.SecureSessions.Decided(d)
	if d.Reason != "" {
		a.log.Info("blocked by secure session",
			slog.String("bot", d.Key.Bot), slog.String("conversation", d.Key.Conversation), slog.String("message", d.Message),
			slog.String("reason", string(d.Reason)), slog.String("source", string(d.Source)))
	}
}

// Called logs that an authorizer was asked.
func (a *audit) Called(alias, detail string, took time.Duration) {
	a.log.Debug("authorizer asked",
		slog.String("connector", alias), slog.String("outcome", detail), slog.Duration("took", took))
}
