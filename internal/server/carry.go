package server

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	chatapi "github.com/carnetproject/carnet/internal/api/chat"
	"github.com/carnetproject/carnet/internal/api/kore"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/web"
)

// carrier is the carry door: conversations and the bots that answer in them.
type carrier struct {
	engine *chat.Engine
	gate   *gate
	bots   *bot.Runner
	socket *chatapi.Handler
	kore   *kore.Handler // nil: off
	cast   cast          // the reloader's, once there is one
	called koreNames
}

// carryDoor composes the chat and mounts it.
func (s *Server) carryDoor(ctx context.Context, mux *http.ServeMux) (*carrier, error) {
	c := s.core.Config
	d := &carrier{}
	var err error
	if d.cast, err = s.recast(ctx, c, cast{}); err != nil {
		return nil, err
	}
	if s.broker, err = s.signIns(mux); err != nil {
		return nil, err
	}
	if d.gate, err = s.gate(ctx, func() *chat.Engine { return d.engine }); err != nil {
		return nil, err
	}
	d.engine, err = chat.New(chat.Config{
		Gate:  d.gate,
		Store: s.core.store, Bus: s.core.bus.others(), Bots: d.cast.lives(), Clock: s.core.now, Log: s.core.log,
		Hire:   func(id bot.ID) *bot.Worker { return d.bots.Hire(id) },
		Wake:   func(id bot.ID) { d.bots.Wake(id) },
		Limits: chat.Limits{Rate: c.Chat.SendsPerUser},
	})
	if err != nil {
		return nil, err
	}
	d.bots, err = bot.NewRunner(bot.RunnerConfig{
		Bots: d.cast.ready, Turns: s.core.store, Replies: d.engine, Clock: s.core.now, Log: s.core.log,
	})
	if err != nil {
		return nil, err
	}
	visitors, err := newVisitors(s.core)
	if err != nil {
		return nil, err
	}
	d.socket = chatapi.New(chatapi.Config{
		Engine: d.engine, Verify: visitors.identify, AllowsOrigin: s.core.Apps.AllowsOrigin, Box: s.core.sealed,
		Revocations: s.core.Revocations, Clock: s.core.now,
		ClientAddr: httpx.ClientAddr(c.TrustedProxies), PerAddr: c.Chat.ConnectionsPerIP,
		Connects: limit.New(c.Chat.ConnectsPerIP, addrsRemembered), Compress: c.Chat.Compression, Log: s.core.log,
	})
	d.socket.Mount(mux)
	d.socket.Publish(botKeys(c.Chat.Bots))
	tokens, err := s.pushTokens(ctx, c)
	if err != nil {
		return nil, err
	}
	s.push = chatapi.NewPush(d.engine, tokens)
	s.push.Mount(mux)
	pages := web.Handler(web.Options{Demo: s.opts.Demo})
	for _, path := range []string{"GET /sdk/", "GET /demo/", "GET /demo.json", "GET /{$}"} {
		mux.Handle(path, pages)
	}
	s.metrics.Sockets(d.conns)
	if c.Chat.Kore.Enabled {
		d.called.use(c.Chat.Kore.Bots)
		if d.kore, err = s.koreDoor(ctx, d); err != nil {
			return nil, err
		}
		if s.opts.DemoKore != nil {
			mux.Handle("GET /kore", s.opts.DemoKore)
		}
	}
	return d, nil
}

// use has conversations go on with these bots. Who may talk with them is in force before.
func (d *carrier) use(next cast) {
	d.cast = next
	d.engine.Use(next.lives()) // first: what is said to a bot that goes is refused, and not left waiting
	d.bots.Use(next.ready)
}

// conns is how many connections there are.
func (d *carrier) conns() int {
	n := d.socket.Conns()
	if d.kore != nil {
		n += d.kore.Conns()
	}
	return n
}

// wrap puts what must stand before the mux there.
func (d *carrier) wrap(next http.Handler) http.Handler {
	if d == nil || d.kore == nil {
		return next
	}
	return d.kore.Wrap(next)
}

// run carries until ctx ends. Then every connection is told when to come back, and
// what has been taken is finished.
func (d *carrier) run(ctx context.Context, grace func(context.Context) (context.Context, context.CancelFunc)) error {
	carry, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, carry := errgroup.WithContext(carry)
	g.Go(func() error { return d.engine.Run(carry) })
	g.Go(func() error { return d.bots.Run(carry) })
	g.Go(func() error { return d.gate.Run(carry) })
	g.Go(func() error { return d.socket.Run(carry) })
	if d.kore != nil {
		g.Go(func() error { return d.kore.Run(carry) })
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-carry.Done():
			return nil
		}
		defer stop()
		leaving, cancel := grace(context.WithoutCancel(ctx))
		defer cancel()
		d.engine.Drain(leaving)
		d.socket.Shutdown(leaving)
		if d.kore != nil {
			d.kore.Shutdown(leaving)
		}
		return nil
	})
	return g.Wait()
}

// appOf is the app that an access token was issued to.
func appOf(clientID string, apps *app.Directory) *app.App {
	a, ok := apps.Find(app.ID(clientID))
	if !ok || a.Disabled {
		return nil
	}
	return a
}
