package cli

import (
	"context"
	"log/slog"

	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/internal/server"
)

// handlers are what internal:// may name in the configuration, with the doors they need.
func handlers() map[string]string { return server.InternalHandlers() }

// withCore runs a command on the store of this node, beside the node itself if
// that is running: it sees the change within its poll interval.
func (s *shell) withCore(do func(ctx context.Context, core *server.Core) error) error {
	return s.withCoreAs(server.Options{}, do)
}

// withCoreAs is withCore with options of its own.
func (s *shell) withCoreAs(o server.Options, do func(ctx context.Context, core *server.Core) error) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	o.Config, o.Environ, o.Stdin, o.Log = cfg, s.Environ, s.in, observe.NewLog(s.Err, slog.LevelWarn, false)
	core, err := server.Open(s.ctx, o)
	if err != nil {
		return err
	}
	return core.Run(s.ctx, func(ctx context.Context) error { return do(ctx, core) })
}
