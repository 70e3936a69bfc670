package connector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// standings is where the nodes share who stands where. An actor is a digest.
type standings interface {
	// Standing answers the zero Standing for an actor that is not known.
	Standing(ctx context.Context, group, actor string) (Standing, error)
	// ChangeStanding replaces the standing by what next makes of it, in one transaction.
	ChangeStanding(ctx context.Context, group, actor string, next func(Standing) Standing) error
	// Standings lists up to limit that are active, by the order of their actors, after one.
	Standings(ctx context.Context, group, after string, limit int, now time.Time) ([]ActorStanding, error)
	// ForgetStandings drops that of an actor, or all of a group if actor is empty.
	ForgetStandings(ctx context.Context, group, actor string) error
}

// ActorStanding is a standing and whose it is.
type ActorStanding struct {
	Actor string // a digest, as [Restrictions.Clear] takes it
	Standing
}

// RestrictionsConfig requires Store.
type RestrictionsConfig struct {
	Groups []*Group
	Store  standings
	Clock  func() time.Time
	Log    *slog.Logger
	// Failed is told of each time that the store cannot be asked, and nobody is restricted.
	Failed func()
}

// Restrictions shut actors out, by the groups that connectors name. A nil Restrictions
// shuts nobody out. The store being down, nobody is shut out: the API still decides.
type Restrictions struct {
	cfg    RestrictionsConfig
	groups map[string]*Group
}

// NewRestrictions makes the service of the groups.
func NewRestrictions(c RestrictionsConfig) (*Restrictions, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Failed == nil {
		c.Failed = func() {}
	}
	r := &Restrictions{c, map[string]*Group{}}
	for _, g := range c.Groups {
		if r.groups[g.ID] != nil {
			return nil, fault.Newf(fault.Conflict, "two restriction groups have the id %q", g.ID)
		}
		r.groups[g.ID] = g
	}
	return r, nil
}

// Has tells whether there is a group with the id.
func (r *Restrictions) Has(id string) bool { return r != nil && r.groups[id] != nil }

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Restricted is how long the actor is shut out of the connectors of the group; 0: not.
func (r *Restrictions) Restricted(ctx context.Context, group string, a Actor) time.Duration {
	if !r.Has(group) {
		return 0
	}
	g := r.groups[group]
	actor, err := g.key(a)
	if err == nil {
		var s Standing
		if s, err = r.cfg.Store.Standing(ctx, group, actor); err == nil {
			return g.wait(s, r.cfg.Clock())
		}
	}
	r.failed(ctx, group, err)
	return 0
}

const writeWithin = 2 * time.Second

// Report tells the status of an actor's call; 0: there was no answer.
func (r *Restrictions) Report(ctx context.Context, group string, a Actor, status int) {
	if !r.Has(group) || !r.groups[group].counts(status) {
		return
	}
	g := r.groups[group]
	actor, err := g.key(a)
	if err == nil {
		// A refusal counts, also when it came too late for who asked.
		write, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
		defer cancel()
		err = r.cfg.Store.ChangeStanding(write, group, actor, func(s Standing) Standing {
			return g.next(s, r.cfg.Clock())
		})
	}
	if err != nil {
		r.failed(ctx, group, err)
	}
}

func (r *Restrictions) failed(ctx context.Context, group string, err error) {
	r.cfg.Failed()
	r.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "restrictions cannot be kept", slog.String("group", group), slog.Any("err", err))
}

// Active lists actors of a group that are in a step, after one, up to limit.
func (r *Restrictions) Active(ctx context.Context, group, after string, limit int) ([]ActorStanding, error) {
	if !r.Has(group) {
		return nil, fault.Newf(fault.NotFound, "there is no restriction group %q", group)
	}
	return r.cfg.Store.Standings(ctx, group, after, limit, r.cfg.Clock())
}

// Clear lets an actor in again, as Active lists it, or all of a group if actor is empty.
func (r *Restrictions) Clear(ctx context.Context, group, actor string) error {
	if !r.Has(group) {
		return fault.Newf(fault.NotFound, "there is no restriction group %q", group)
	}
	return r.cfg.Store.ForgetStandings(ctx, group, actor)
}
