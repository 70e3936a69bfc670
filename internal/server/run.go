package server

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/config"
)

// Run serves until ctx ends or a part fails. When ctx has ended it goes on for the
// configured delay, no more ready. Then it takes no more requests and lets the running
// ones finish; the operator's listener closes last, so that /readyz tells of the stop. It
// returns nil on a clean one.
func (s *Server) Run(ctx context.Context) error {
	telling, silence := context.WithCancel(context.WithoutCancel(ctx))
	var told sync.WaitGroup
	told.Go(func() { _ = s.traces.Run(telling) }) // nil, when the last ones have been told
	defer told.Wait()
	defer silence()
	serving, stop := context.WithCancel(context.WithoutCancel(s.traces.In(ctx)))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		s.health.Drain()
		pause(serving, s.core.Config.ShutdownDelay.Std())
		stop()
	})()
	g, ctx := errgroup.WithContext(serving)
	s.serve(ctx, g)
	if s.cert != nil {
		g.Go(func() error { return s.cert.Run(ctx) })
	}
	g.Go(func() error { return tidy(ctx) })
	g.Go(func() error { return s.core.follow(ctx, s.catalog, s.keysChanged) })
	g.Go(func() error { return s.core.tend(ctx) })
	g.Go(func() error { return s.core.Secrets.Run(ctx) })
	if s.core.signs() || s.carrier != nil { // no other node needs an app's secret
		g.Go(func() error { return s.core.Apps.Run(ctx) })
	}
	if s.core.signs() {
		g.Go(func() error { return s.core.housekeep(ctx) })
		g.Go(func() error { return s.core.endings().run(ctx) })
	}
	if retention := s.core.Config.Chat.Retention; s.carrier != nil && retention != config.Forever {
		g.Go(func() error { return retain(ctx, retention.Std(), s.core.now, s.core.log, s.core.store.DeleteMessages) })
	}
	if s.carrier != nil {
		g.Go(func() error {
			return s.carrier.run(ctx, func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, s.core.Config.ShutdownGrace.Std())
			})
		})
	}
	if s.gateway != nil {
		g.Go(func() error { return s.gateway.Run(ctx) })
		if limits := s.core.bus.limits; limits != nil {
			g.Go(func() error { return limits.Run(ctx) })
		}
	}
	g.Go(func() error { return s.reload.Run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-s.opts.Hangup:
				_ = s.reload.Reload(ctx) // it has logged why not
			}
		}
	})
	if s.opts.Ready != nil {
		s.opts.Ready()
	}
	return g.Wait()
}

// serve runs the listeners in g. When ctx ends it stops them in order.
func (s *Server) serve(ctx context.Context, g *errgroup.Group) {
	doors, closeDoors := context.WithCancel(context.WithoutCancel(ctx))
	operator, closeOperator := context.WithCancel(context.WithoutCancel(ctx))
	var open sync.WaitGroup
	for i, l := range s.listeners {
		s.core.log.LogAttrs(ctx, slog.LevelInfo, "listening",
			slog.String("door", l.door), slog.String("address", l.Addr().String()), slog.String("scheme", l.scheme))
		if i == len(s.listeners)-1 {
			g.Go(func() error { return l.Run(operator) })
			continue
		}
		open.Add(1)
		g.Go(func() error {
			defer open.Done()
			return l.Run(doors)
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		s.core.log.LogAttrs(ctx, slog.LevelInfo, "stopping", slog.Duration("grace", s.core.Config.ShutdownGrace.Std()))
		s.health.Drain()
		closeDoors()
		open.Wait()
		closeOperator()
		return nil
	})
}
