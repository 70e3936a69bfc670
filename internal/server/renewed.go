package server

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/secret"
)

// renewed is a bot outside the process that is made anew when one of its secrets has
// changed, so that they are changed while the node runs. While they cannot be read, or no
// bot can be made of them, it stays as it is. Safe for concurrent use.
type renewed struct {
	refs    []string // the secrets, or SRNs of them
	resolve func(ctx context.Context, ref string) (secret.Bytes, error)
	make    func(ctx context.Context) (bot.Streamer, error)
	log     *slog.Logger

	mu   sync.Mutex
	used []secret.Bytes
	bot  bot.Streamer
}

// renew makes a bot of the configuration, with what its secrets are now.
func (s *Server) renew(ctx context.Context, b *config.Bot) (bot.Bot, error) {
	r := &renewed{
		resolve: s.core.Secrets.Value, log: s.core.log,
		make: func(ctx context.Context) (bot.Streamer, error) { return s.outside(ctx, b) },
	}
	for _, name := range slices.Sorted(maps.Keys(b.Headers)) {
		if ref := b.Headers[name].SRN(); ref != "" {
			r.refs = append(r.refs, ref)
		}
	}
	for _, ref := range []string{b.Secret, b.Previous} {
		if ref != "" {
			r.refs = append(r.refs, ref)
		}
	}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Answer asks the bot as it is now.
func (r *renewed) Answer(ctx context.Context, t bot.Turn) (bot.Answer, error) {
	return r.now(ctx).Answer(ctx, t)
}

// Stream asks the bot as it is now.
func (r *renewed) Stream(ctx context.Context, t bot.Turn, tell func(bot.Delta)) (bot.Answer, error) {
	return r.now(ctx).Stream(ctx, t, tell)
}

func (r *renewed) now(ctx context.Context) bot.Streamer {
	if err := r.look(ctx); err != nil && ctx.Err() == nil {
		r.log.LogAttrs(ctx, slog.LevelWarn, "a bot's secrets cannot be used, it keeps those that it has", slog.Any("err", err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bot
}

// look makes the bot if there is none of these secrets.
func (r *renewed) look(ctx context.Context) error {
	now := make([]secret.Bytes, 0, len(r.refs))
	for _, ref := range r.refs {
		v, err := r.resolve(ctx, ref)
		if err != nil {
			return err
		}
		now = append(now, v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bot != nil && slices.EqualFunc(r.used, now, secret.Bytes.Equal) {
		return nil
	}
	made, err := r.make(ctx)
	if err != nil {
		return err
	}
	r.used, r.bot = now, made
	return nil
}
