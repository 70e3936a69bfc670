package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/internal/server"
)

type serveCommand struct {
	Demo bool `help:"Seed a demo (an app, a user, a device key set, routes) and print what to try."`
}

// Help has examples.
func (serveCommand) Help() string {
	return `Without a configuration, all doors open on loopback, with data in ./data.
A changed configuration file is in force within seconds; SIGHUP reads it at once.

Examples:
  carnet serve --demo
  carnet serve --config /etc/carnet/carnet.yaml --data /var/lib/carnet`
}

// Run serves until the process is told to stop.
func (c serveCommand) Run(s *shell) error {
	if c.Demo {
		if err := s.useDemoConfig(); err != nil {
			return err
		}
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	log, err := s.log(cfg.Log)
	if err != nil {
		return err
	}
	core, err := server.Open(s.ctx, server.Options{Config: cfg, Environ: s.Environ, Stdin: s.in, Log: log})
	if err != nil {
		return err
	}
	err = core.Run(s.ctx, func(ctx context.Context) error {
		o := server.ServeOptions{ConfigPath: s.configFile(), Reload: s.load, Hangup: hangups(ctx)}
		if c.Demo {
			demo, err := core.SeedDemo(ctx)
			if err != nil {
				return err
			}
			o.Demo, o.DemoKore = demo.Page, demo.Kore
			o.Ready = func() { fmt.Fprint(s.Out, server.Welcome(cfg, demo.EnvFile)) }
		}
		node, err := server.NewServer(ctx, core, o)
		if err != nil {
			return err
		}
		return node.Run(ctx)
	})
	if s.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // a stop in the middle of the start is a stop
	}
	return err
}

// log is the node's logger, on standard error.
func (s *shell) log(c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, err
	}
	return observe.NewLog(s.Err, level, c.Format == "json"), nil
}

// useDemoConfig makes the demo's configuration in the data directory and uses it,
// unless there is one already.
func (s *shell) useDemoConfig() error {
	if s.configFile() != "" {
		return nil
	}
	s.file = filepath.Join(s.dataDir(), configName)
	return server.DemoConfig(s.file)
}

// hangups tells of each SIGHUP until ctx ends. Those that come while one waits
// to be taken are one.
func hangups(ctx context.Context) <-chan struct{} {
	signals, out := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case out <- struct{}{}:
			}
		}
	}()
	return out
}
