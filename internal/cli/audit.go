package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/user"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

// record writes into the audit log what a command has done, if err, which is that of doing
// it, is nil.
func (s *shell) record(ctx context.Context, core *server.Core, err error, e audit.Entry) error {
	if err != nil {
		return err
	}
	return core.Audit.Record(ctx, s.signed(e), netip.Addr{})
}

// signed is e with who runs the command, and which one.
func (s *shell) signed(e audit.Entry) audit.Entry {
	e.Actor = audit.Actor{Kind: audit.Operator, Name: s.operator()}
	if e.Details == nil {
		e.Details = map[audit.Detail]string{}
	}
	e.Details[audit.Command] = s.command
	return e
}

// operator is the user of this machine as it knows them, whatever the environment says.
func (s *shell) operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return cmp.Or(s.variable("USER"), s.variable("LOGNAME"))
}

// givenFlags are the names of the flags of a command that were given, of those that change
// a member only then.
func givenFlags(command any) string {
	var names []string
	v := reflect.ValueOf(command)
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Type.Kind() == reflect.Pointer && !v.FieldByIndex(f.Index).IsNil() {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, " ")
}

type auditCommand struct {
	Tail  auditTail  `cmd:"" help:"Print the last entries, and with -f those that come."`
	Query auditQuery `cmd:"" help:"Print the entries of a time, an actor, an action or an object."`
}

// auditFormat says how entries are printed.
type auditFormat struct {
	Format string `enum:"table,json" default:"table" help:"table, or json: one object a line."`
}

// entryRow is an entry as JSON shows it.
type entryRow struct {
	ID      int64                   `json:"id"`
	At      string                  `json:"at"`
	Kind    audit.ActorKind         `json:"actor_kind"`
	Actor   string                  `json:"actor,omitempty"`
	Action  audit.Action            `json:"action"`
	Object  string                  `json:"object,omitempty"`
	Outcome audit.Outcome           `json:"outcome"`
	Address string                  `json:"address,omitempty"`
	Node    string                  `json:"node,omitempty"`
	Details map[audit.Detail]string `json:"details,omitempty"`
}

// entries prints entries; head is whether a table begins.
func (f auditFormat) entries(s *shell, entries []audit.Entry, head bool) error {
	if f.Format == "json" {
		out := json.NewEncoder(s.Out)
		out.SetEscapeHTML(false)
		for i := range entries {
			e := &entries[i]
			if err := out.Encode(entryRow{e.ID, instant(e.At), e.Actor.Kind, e.Actor.Name, e.Action, e.Object, e.Outcome, e.Address, e.Node, e.Details}); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	if head {
		fmt.Fprintln(t, "ID\tAT\tACTOR\tACTION\tOBJECT\tOUTCOME\tADDRESS\tDETAILS")
	}
	for i := range entries {
		e := &entries[i]
		cells := []string{
			strconv.FormatInt(e.ID, 10), moment(e.At), e.Actor.String(), string(e.Action),
			cmp.Or(e.Object, "-"), string(e.Outcome), cmp.Or(e.Address, "-"), cmp.Or(e.String(), "-"),
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

type auditTail struct {
	N      int  `short:"n" default:"50" help:"How many."`
	Follow bool `short:"f" help:"Go on with those that come, of all nodes of the store, until interrupted."`
	auditFormat
}

// Help has examples.
func (auditTail) Help() string {
	return `What happened at the doors is there after a second or two.

Examples:
  carnet audit tail -n 20
  carnet audit tail -f --format json | jq 'select(.outcome == "refused")'`
}

// followEvery is how often the store is asked for new entries.
const followEvery = time.Second

// Run prints the entries.
func (c auditTail) Run(s *shell) error {
	if c.N < 0 || c.N > audit.MaxPage {
		return fault.Newf(fault.Invalid, "-n must be 0 to %d", audit.MaxPage)
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		found, err := core.Entries(ctx, audit.Query{Limit: max(c.N, 1)})
		if err != nil {
			return err
		}
		last := int64(0)
		if len(found) > 0 {
			last = found[len(found)-1].ID
		}
		if err := c.entries(s, found[max(0, len(found)-c.N):], true); err != nil || !c.Follow {
			return err
		}
		return c.follow(ctx, s, core, last)
	})
}

// follow prints what comes after an id until ctx ends. A store that does not answer for a
// while is asked again.
func (c auditTail) follow(ctx context.Context, s *shell, core *server.Core, last int64) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		found, err := core.Entries(ctx, audit.Query{After: last, First: true, Limit: audit.MaxPage})
		if ctx.Err() != nil || err == nil && len(found) == 0 {
			continue
		}
		if err != nil {
			if fault.KindOf(err) != fault.Unavailable {
				return err
			}
			s.note("the store does not answer: %v", err)
			continue
		}
		last = found[len(found)-1].ID
		if err := c.entries(s, found, false); err != nil {
			return err
		}
	}
}

type auditQuery struct {
	Since   string `placeholder:"WHEN" help:"From a time (RFC 3339) or a date (UTC) on, or a duration ago such as 24h or 7d."`
	Until   string `placeholder:"WHEN" help:"Up to a time or a date, or a duration ago."`
	Actor   string `placeholder:"NAME" help:"Who: a name or id; or all of a kind: operator, admin, app, user, system."`
	Action  string `placeholder:"ACTION" help:"What, as in app.rotate; with * at its end all that begin so, as in 'app.*'."`
	Object  string `placeholder:"ID" help:"The id or name of what it is about."`
	Outcome string `placeholder:"OUTCOME" help:"ok, refused, limited or failed."`
	Limit   int    `default:"1000" help:"The last that many."`
	auditFormat
}

// Help has examples.
func (auditQuery) Help() string {
	return `Oldest first.

Examples:
  carnet audit query --since 24h --action 'app.*'
  carnet audit query --action user.sign_in --outcome refused --object ann
  carnet audit query --actor operator --since 2027-01-01T00:00:00Z --format json`
}

// Run prints the entries.
func (c auditQuery) Run(s *shell) error {
	q, err := c.query(time.Now())
	if err != nil {
		return err
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		found, err := core.Entries(ctx, q)
		if err != nil {
			return err
		}
		if len(found) == q.Limit {
			s.note("there may be older ones: --limit %d, or --until %s", min(10*q.Limit, audit.MaxPage), instant(found[0].At))
		}
		return c.entries(s, found, true)
	})
}

// query is what the flags say.
func (c auditQuery) query(now time.Time) (q audit.Query, err error) {
	q = audit.Query{Actor: c.Actor, Object: c.Object, Limit: c.Limit}
	var problems []error
	keep := func(err error) { problems = append(problems, err) }
	if c.Limit < 1 || c.Limit > audit.MaxPage {
		keep(fault.Newf(fault.Invalid, "--limit must be 1 to %d", audit.MaxPage))
	}
	for flag, m := range map[string]struct {
		text string
		into *time.Time
	}{"--since": {c.Since, &q.Since}, "--until": {c.Until, &q.Until}} {
		if m.text != "" {
			*m.into, err = since(flag, m.text, now)
			keep(err)
		}
	}
	if c.Action != "" {
		q.Actions, err = audit.Matching(c.Action)
		keep(err)
	}
	if c.Outcome != "" {
		q.Outcome, err = audit.ParseOutcome(c.Outcome)
		keep(err)
	}
	return q, errors.Join(problems...)
}
