package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/internal/securesession"
)

// fingerprintPurpose is what the key of fingerprints is derived for.
const fingerprintPurpose = "secure-session:v1"

// gate is what stands before the bots that do not take everybody's messages.
type gate struct{ *securesession.Gate }

var _ chat.Gate = gate{}

// gate makes the gate, which lets pass what comes to bots without a post. What engine
// returns is asked for when the node serves.
func (s *Server) gate(ctx context.Context, engine func() *chat.Engine) (*gate, error) {
	made, err := s.preparePosts(s.core.Config, s.connectors.latest.Load())
	if err != nil {
		return nil, err
	}
	s.posts.use(ctx, made)
	key, err := s.core.sealed.Derive(fingerprintPurpose)
	if err != nil {
		return nil, err
	}
	g := &gate{}
	g.Gate, err = securesession.New(securesession.Config{
		Store: s.core.store, Clock: s.core.now, Key: key, Node: rand.Text(), Log: s.core.log,
		Guard: func(b string) *securesession.Guard { return s.posts.guard(bot.ID(b)) },
		Merge: func(ctx context.Context, conversation string, set json.RawMessage) error {
			return engine().SetServerContext(ctx, chat.ID(conversation), set)
		},
		Notify:   func(conversation string, n securesession.Notice) { engine().Secure(chat.ID(conversation), n) },
		Observer: &witness{s.metrics.SecureSessions(func() securesession.Stats { return g.Stats() }), s.core.log},
	})
	return g, err
}

func (g gate) Guards(b bot.ID) bool { return g.Gate.Guards(string(b)) }

func (g gate) Enter(ctx context.Context, a chat.Ask) chat.Verdict {
	return g.Gate.Enter(ctx, inGate(a))
}

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

// witness notes what a gate does, and nothing that users or authorizers say.
type witness struct {
	*observe.SecureSessions
	log *slog.Logger
}

// Decided counts a decision. That something was blocked is logged: a message, or without
// one the look at what was said.
func (a *witness) Decided(d securesession.Decision) {
	a.SecureSessions.Decided(d)
	if d.Reason != "" {
		log := a.log
		if d.Trace != "" {
			log = log.With(slog.String("trace_id", d.Trace))
		}
		log.Info("blocked by secure session",
			slog.String("bot", d.Key.Bot), slog.String("conversation", d.Key.Conversation), slog.String("message", d.Message),
			slog.String("reason", string(d.Reason)), slog.String("source", string(d.Source)))
	}
}

// Called logs that an authorizer was asked.
func (a *witness) Called(alias, detail string, took time.Duration) {
	a.log.Debug("authorizer asked",
		slog.String("connector", alias), slog.String("outcome", detail), slog.Duration("took", took))
}
