package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/config"
)

// watchEvery is how soon a saved configuration file is in force.
const watchEvery = time.Second

// reloader puts a changed configuration in force while the node serves. A bad one
// leaves the old one in force and says so.
type reloader struct {
	path    string // of the file; "" if there is none
	load    func() (*config.Config, error)
	apply   func(ctx context.Context, c *config.Config) error
	observe func(ok bool)
	record  func(ctx context.Context, by audit.Actor, changed []string, err error)
	log     *slog.Logger

	mu      sync.Mutex
	running running  // what the node was started with, with what was applied since
	seen    [32]byte // of the files, when they were last tried
}

// Reload reads the configuration and applies what can change while the node runs. Other
// changes are named in the log; they need a restart.
func (r *reloader) Reload(ctx context.Context) error {
	return r.reload(ctx, audit.Actor{Kind: audit.System})
}

// ReloadByAdmin is Reload as somebody asks for it over the Admin API.
func (r *reloader) ReloadByAdmin(ctx context.Context) error {
	return r.reload(ctx, audit.Actor{Kind: audit.Admin, Name: "carnet"})
}

func (r *reloader) reload(ctx context.Context, by audit.Actor) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, _ = r.sum()
	var changed []string
	defer func() {
		r.observe(err == nil)
		r.record(ctx, by, changed, err)
		if err != nil {
			r.log.LogAttrs(ctx, slog.LevelError, "configuration not reloaded, the old one stays", slog.Any("err", err))
		}
	}()
	next, err := r.load()
	if err != nil {
		return err
	}
	changed = r.running.changed(next)
	if err := r.apply(ctx, next); err != nil {
		return err
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "configuration reloaded")
	if needs := r.running.fixed(next); len(needs) > 0 {
		r.log.LogAttrs(ctx, slog.LevelWarn, "changes that need a restart", slog.Any("keys", needs))
	}
	before := r.running.Documents()
	r.running.takeLive(next)
	if !slices.Equal(before, r.running.Documents()) {
		r.seen, _ = r.sum() // of other files now
	}
	return nil
}

// Run looks at the files until ctx ends and reloads when their content has changed.
func (r *reloader) Run(ctx context.Context) error {
	if r.path == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if r.changed() {
			_ = r.Reload(ctx) // it has logged why not
		}
	}
}

// changed reports whether a file differs from what was tried last. While that of the
// configuration is gone or empty, as in the middle of a save, none has changed.
func (r *reloader) changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum, err := r.sum()
	return err == nil && sum != r.seen
}

// sum is a hash of the configuration file, which must be there and have something in it,
// and of the documents that the running configuration names, as far as they are.
func (r *reloader) sum() (sum [32]byte, err error) {
	if r.path == "" {
		return sum, nil
	}
	text, err := os.ReadFile(r.path)
	if err == nil && len(text) == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	h.Write(text)
	for _, path := range r.running.Documents() {
		text, err := os.ReadFile(path)
		fmt.Fprintf(h, "\n%q %t %d\n%s", path, err == nil, len(text), text)
	}
	return [32]byte(h.Sum(nil)), nil
}
