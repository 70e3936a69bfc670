package server

import (
	"context"
	"maps"
	"sync/atomic"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/securesession"
)

// posts are what stands before the bots, by their names. A reload replaces them; messages
// on their way stay with what they have met. Safe for concurrent use.
type posts struct {
	latest atomic.Pointer[map[bot.ID]*post]
}

// guard is what stands before a bot now; nil: nothing.
func (p *posts) guard(id bot.ID) *securesession.Guard {
	all := p.latest.Load()
	if all == nil {
		return nil
	}
	return (*all)[id].guard()
}

// use puts posts in force, with clients that know the versions of their secrets: who was
// let in on another node is not asked about again.
func (p *posts) use(ctx context.Context, next map[bot.ID]*post) {
	p.latest.Store(&next)
	for _, q := range next {
		if a := q.guard().Authorizer; a != nil {
			a.Learn(ctx)
		}
	}
}

// post is a bot that is secured, or does not run.
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

// preparePosts makes the posts of a configuration, whose connectors and auth profiles are
// in from. None of them is in force yet.
func (s *Server) preparePosts(c *config.Config, from *clients) (map[bot.ID]*post, error) {
	made := map[bot.ID]*post{}
	if was := s.posts.latest.Load(); was != nil {
		// What was said to a bot that the file has no more can be read: it keeps its guard.
		made = maps.Clone(*was)
	}
	for _, id := range c.Chat.Bots.Names() {
		delete(made, id)
		b := c.Chat.Bots[id]
		p := &post{policy: b.Policy(), stopped: b.State == config.BotPaused || b.State == config.BotStopped, apis: s.connectors, signIns: s.broker}
		switch {
		case p.policy == nil && !p.stopped:
			continue
		case p.policy == nil:
			p.policy = &securesession.Policy{}
		default:
			if err := from.serve(p.policy); err != nil {
				return nil, c.Locate("chat.bots."+string(id), err)
			}
		}
		// Until a client is found, no message passes.
		p.latest.Store(&manned{guard: securesession.Guard{Policy: p.policy, Stopped: true}})
		made[id] = p
	}
	return made, nil
}

// guard is what stands before the bot with the client that is in force now; nil: nothing.
// While a connector is gone its last client stays: a bot never goes without its guard.
func (p *post) guard() *securesession.Guard {
	if p == nil {
		return nil
	}
	if !p.stopped {
		p.find()
	}
	return &p.latest.Load().guard
}

// find mans the post with the client that the policy leads to, if there is one.
func (p *post) find() {
	client, profile, ok := p.client()
	if now := p.latest.Load(); !ok || now.guard.Authorizer != nil && now.client == client && now.profile == profile {
		return
	}
	if a, err := p.authorizer(client); err == nil {
		p.latest.Store(&manned{client, profile, securesession.Guard{Policy: p.policy, Authorizer: a}})
	}
}
