package kong

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/httpx"
)

// store is where the entities lie: see the methods of its implementations.
type store interface {
	Entities(ctx context.Context) (all []gateway.Entity, revision int64, err error)
	EntityRevision(ctx context.Context) (int64, error)
	ChangeEntities(ctx context.Context, seen int64, remove []string, put []gateway.Entity) (revision int64, err error)
}

// usernames is the part of the registry that says what consumers are called.
type usernames interface {
	Consumer(ctx context.Context, name string) (consumer.Info, error)
}

// CatalogConfig requires Store, Consumers and Check.
type CatalogConfig struct {
	Store     store
	Consumers usernames
	File      gateway.Config // what the configuration file says
	FileName  string         // of that file, for messages

	// Check says why the gateway could not use a configuration, as
	// [gateway.Config.Validate] does. Apply puts one in force; nil: nothing is.
	Check, Apply func(ctx context.Context, c gateway.Config) error

	Clock func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: none
}

// Catalog is the services, routes and plugins of the gateway: those of the configuration
// file, which come first and are not changed here, and those of the store. What it
// stores is in force on this node when a change returns, and on others after their next
// [Catalog.Follow]. Nothing that the gateway cannot use is stored. Safe for concurrent use.
type Catalog struct {
	c     CatalogConfig
	mu    sync.Mutex // one change at a time
	state atomic.Pointer[state]
}

// state is a catalog at one moment. It never changes.
type state struct {
	*assembly
	revision int64
	file     gateway.Config
	stored   []*entity // by kind and id
	all      []*entity // the same with those of the file
}

// NewCatalog starts nothing. The catalog is empty until [Catalog.Load].
func NewCatalog(c CatalogConfig) *Catalog {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Apply == nil {
		c.Apply = func(context.Context, gateway.Config) error { return nil }
	}
	cat := &Catalog{c: c}
	cat.state.Store(&state{assembly: &assembly{config: c.File}, file: c.File})
	return cat
}

// Load reads the store and puts what it has in force, with the file. Entities that do
// not fit the file any more are left out, and named in the log.
func (c *Catalog) Load(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(ctx, c.state.Load().file)
}

// SetFile replaces what the configuration file says. After an error all is as before.
func (c *Catalog) SetFile(ctx context.Context, file gateway.Config) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(ctx, file)
}

// Follow puts in force what others have changed in the store.
func (c *Catalog) Follow(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.state.Load()
	revision, err := c.c.Store.EntityRevision(ctx)
	if err != nil {
		return err
	}
	if revision == now.revision {
		users, err := c.resolve(ctx, &now.file, now.stored, nil)
		if err != nil || maps.Equal(users, now.users) {
			return err
		}
	}
	return c.load(ctx, now.file)
}

func (c *Catalog) load(ctx context.Context, file gateway.Config) error {
	rows, revision, err := c.c.Store.Entities(ctx)
	if err != nil {
		return err
	}
	stored := make([]*entity, 0, len(rows))
	for i := range rows {
		if e := fromRow(&rows[i]); e != nil {
			stored = append(stored, e)
		}
	}
	next, err := c.next(ctx, file, stored, nil)
	if err != nil {
		return err
	}
	for _, e := range stored {
		f, bad := next.flaws[e.id()]
		if !bad {
			continue
		}
		attrs := []slog.Attr{slog.String("kind", e.kind.name), slog.String("name", e.name()), slog.String("id", e.id()), slog.String("reason", f.msg)}
		if f.open {
			return fault.Newf(fault.Invalid, "the store's %s %q cannot be used, and without it requests would pass that it refuses: %s", e.kind.one, e.name(), f.msg)
		}
		c.c.Log.LogAttrs(ctx, slog.LevelError, "an entity of the store is not in force", attrs...)
	}
	next.revision = revision
	return c.apply(ctx, next)
}

func (c *Catalog) apply(ctx context.Context, next *state) error {
	if err := c.c.Apply(ctx, next.config); err != nil {
		return err
	}
	c.state.Store(next)
	return nil
}

// next is the state with other stored entities. known are usernames that need not be
// looked up again.
func (c *Catalog) next(ctx context.Context, file gateway.Config, stored []*entity, known map[string]string) (*state, error) {
	users, err := c.resolve(ctx, &file, stored, known)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(stored, byKindAndID)
	all := slices.Concat(disassemble(&file, users), stored)
	slices.SortStableFunc(all, byKindAndID)
	a, err := assemble(file, all, users, func(g gateway.Config) error { return c.c.Check(ctx, g) })
	if err != nil {
		return nil, err
	}
	return &state{assembly: a, file: file, stored: stored, all: all}, nil
}

func byKindAndID(a, b *entity) int {
	return cmp.Or(cmp.Compare(a.kind.name, b.kind.name), cmp.Compare(a.id(), b.id()))
}

// resolve finds the usernames of the consumers that plugins name, by id. One that is
// not there is left out.
func (c *Catalog) resolve(ctx context.Context, file *gateway.Config, stored []*entity, known map[string]string) (map[string]string, error) {
	users := map[string]string{}
	named := map[string]bool{}
	for i := range file.Consumers {
		users[consumerID(file.Consumers[i].Username)] = file.Consumers[i].Username
		named[file.Consumers[i].Username] = true
	}
	look := func(name string) error {
		info, err := c.c.Consumers.Consumer(ctx, name)
		if err == nil {
			users[info.ID] = info.Username
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		return nil
	}
	for i := range file.Overrides {
		name := file.Overrides[i].Consumer
		if name == "" || named[name] {
			continue
		}
		named[name] = true
		if err := look(name); err != nil {
			return nil, err
		}
	}
	for _, e := range stored {
		id := reference(e.doc, "consumer")
		if _, done := users[id]; done || id == "" {
			continue
		}
		if known[id] != "" {
			users[id] = known[id]
		} else if err := look(id); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// maxAttempts bounds how often a change is made again because another node was faster.
const maxAttempts = 10

// Edit lets edit change a draft of the entities, and puts that in force if the gateway
// can use it. Edit may be called again if another node was faster.
func (c *Catalog) Edit(ctx context.Context, edit func(d *draft) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range maxAttempts {
		now := c.state.Load()
		d, next, err := c.try(ctx, now, now.users, edit)
		if err != nil || next == nil {
			return err
		}
		remove, put, err := d.rows()
		if err != nil {
			return err
		}
		next.revision, err = c.c.Store.ChangeEntities(ctx, now.revision, remove, put)
		if fault.KindOf(err) == fault.Conflict {
			if err := c.load(ctx, now.file); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := c.apply(context.WithoutCancel(ctx), next); err != nil {
			stale := *now
			stale.revision = -1 // the next Follow tries again
			c.state.Store(&stale)
			return fault.Wrap(fault.Unavailable, "stored, but not in force on this node yet", err)
		}
		return nil
	}
	return fault.New(fault.Conflict, "other nodes change the gateway's configuration all the while: try again")
}

// try makes the state that edit would lead to, nil if it changes nothing. known are the
// usernames of consumers by id, some of which may not be there yet.
func (c *Catalog) try(ctx context.Context, now *state, known map[string]string, edit func(d *draft) error) (*draft, *state, error) {
	d := newDraft(now, c.c.FileName)
	if err := edit(d); err != nil || len(d.changed) == 0 {
		return d, nil, err
	}
	next, err := c.next(ctx, now.file, d.stored(), known)
	if err != nil {
		return d, nil, err
	}
	return d, next, d.refused(next)
}

// fromRow reads an entity that the store has, nil if it is of a kind that is not known.
func fromRow(row *gateway.Entity) *entity {
	for _, k := range kept {
		if k.name != row.Kind {
			continue
		}
		var v any
		if err := httpx.DecodeJSON(row.Doc, &v); err != nil {
			return nil
		}
		d, _ := normal(v).(Document)
		if text(d, "id") != row.ID {
			return nil
		}
		return newEntity(k, d)
	}
	return nil
}

// toRow is fromRow the other way round.
func toRow(e *entity) (gateway.Entity, error) {
	doc, err := json.Marshal(e.doc)
	row := gateway.Entity{Kind: e.kind.name, ID: e.id(), Doc: doc}
	if e.kind.key == "name" {
		row.Name = text(e.doc, e.kind.key)
	}
	return row, err
}
