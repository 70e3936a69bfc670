package consumer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/fault"
)

const (
	maxOwners   = 1 << 16 // consumers that an import remembers
	maxAliases  = 1 << 18
	addsAtATime = 64 // consumers; they share commits
)

// chunk takes in the entries of a chunk but for the first done. Consumers come first,
// then credentials in the order of their keys.
func (im *importer) chunk(ctx context.Context, at importState, chunk []*Entry, done int) error {
	slices.SortStableFunc(chunk, func(a, b *Entry) int {
		if c := cmp.Compare(kindOrder(a), kindOrder(b)); c != 0 {
			return c
		}
		return cmp.Compare(a.Key, b.Key)
	})
	for at.Done = done; at.Done < len(chunk); {
		part := chunk[at.Done:min(at.Done+importBatch, len(chunk))]
		at.Done += len(part)
		if err := im.batch(ctx, at, part); err != nil {
			return err
		}
		if im.options.Report != nil {
			im.options.Report(im.report)
		}
	}
	return nil
}

func kindOrder(e *Entry) int {
	if e.Consumer != nil {
		return 0
	}
	return 1
}

// batch takes in entries, and saves that they are.
func (im *importer) batch(ctx context.Context, at importState, part []*Entry) error {
	n := 0
	for n < len(part) && part[n].Consumer != nil {
		n++
	}
	if err := im.consumers(ctx, part[:n]); err != nil {
		return err
	}
	records, lines, err := im.records(ctx, part[n:])
	if err != nil {
		return err
	}
	im.report.Rows += int64(len(part))
	before := im.report
	var replaced []string
	b := Batch{Records: records}
	b.Clash = func(have, want *Record) bool {
		i, _ := slices.BinarySearchFunc(records, want.Key, func(r Record, key string) int { return cmp.Compare(r.Key, key) })
		replace := im.clash(have, want, lines[i])
		if replace {
			replaced = append(replaced, want.Key)
		}
		return replace
	}
	b.Progress = func() string {
		old := im.report.Same - before.Same + im.report.Clashes - before.Clashes + im.report.Replaced - before.Replaced
		im.report.Added += int64(len(records)) - old
		at.Report = im.report
		text, _ := json.Marshal(at) // numbers and a hash always marshal
		return string(text)
	}
	if im.options.DryRun {
		return im.tryOut(ctx, b)
	}
	if err := im.registry.store.Import(ctx, im.name, b); err != nil {
		im.report = before
		return wrap("import credentials", err)
	}
	im.registry.forgetAbsent()
	if len(replaced) > 0 {
		im.registry.forget(replaced...)
		im.registry.generation.Add(1)
	}
	return nil
}

// tryOut finds out what a batch would do.
func (im *importer) tryOut(ctx context.Context, b Batch) error {
	for i := range b.Records {
		have, _, err := im.registry.store.FindCredential(ctx, b.Records[i].Key)
		switch {
		case err == nil:
			b.Clash(&have, &b.Records[i])
		case fault.KindOf(err) != fault.NotFound:
			return err
		}
	}
	b.Progress()
	return nil
}

// consumers adds those that are not there.
func (im *importer) consumers(ctx context.Context, part []*Entry) error {
	var missing []*Entry
	for _, e := range part {
		there, err := im.known(ctx, e.Consumer)
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, e)
		}
	}
	failed := make([]error, len(missing))
	var g errgroup.Group
	g.SetLimit(addsAtATime)
	for i, e := range missing {
		g.Go(func() error {
			if im.options.DryRun {
				failed[i] = e.Consumer.validate(im.registry.reserved.Load())
			} else {
				_, failed[i] = im.registry.AddConsumer(ctx, *e.Consumer)
			}
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	for i, e := range missing {
		switch kind := fault.KindOf(failed[i]); {
		case failed[i] == nil:
			im.report.Consumers++
			im.added(e.Consumer)
		case kind == fault.Invalid || kind == fault.Conflict:
			im.reject(e.Line, "consumer: "+publicText(failed[i]))
		default:
			return failed[i]
		}
	}
	return nil
}

// known tells whether a consumer is there, and remembers which it is: one of the same
// username may have another id.
func (im *importer) known(ctx context.Context, c *Info) (bool, error) {
	if c.ID == "" {
		c.ID = orNewID("")
	}
	for _, name := range []string{c.ID, c.Username} {
		have, err := im.registry.store.Consumer(ctx, name)
		switch {
		case name == "" || fault.KindOf(err) == fault.NotFound:
			continue
		case err != nil:
			return false, err
		}
		if have.ID != c.ID && len(im.aliases) < maxAliases {
			im.aliases[c.ID] = have.ID
		}
		im.owner(c.ID, have.ID)
		return true, nil
	}
	return false, nil
}

// added remembers a consumer that was not there. In a dry run it still is not.
func (im *importer) added(c *Info) {
	for _, name := range []string{c.ID, c.Username} {
		im.owner(name, c.ID)
		if im.options.DryRun && len(im.aliases) < maxAliases {
			im.aliases[name] = c.ID
		}
	}
}

// owner remembers the id of a consumer, "" if there is none.
func (im *importer) owner(name, id string) {
	if len(im.owners) >= maxOwners {
		clear(im.owners)
	}
	im.owners[name] = id
}

// ownerOf is the id of the consumer of a credential, "" if there is none.
func (im *importer) ownerOf(ctx context.Context, name string) (string, error) {
	if id, ok := im.aliases[name]; ok {
		return id, nil
	}
	if id, ok := im.owners[name]; ok || name == "" {
		return id, nil
	}
	have, err := im.registry.store.Consumer(ctx, name)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	im.owner(name, have.ID)
	return have.ID, nil
}

// records are the credentials of entries in the order of their keys, sealed, each key
// once, with their lines.
func (im *importer) records(ctx context.Context, part []*Entry) (all []Record, lines []int, err error) {
	var last *Entry // that was taken
	for _, e := range part {
		if why, err := im.check(ctx, e); err != nil {
			return nil, nil, err
		} else if why != "" {
			im.reject(e.Line, why)
			continue
		}
		rec := e.Record
		if err := im.registry.sealed(&rec); err != nil {
			return nil, nil, err
		}
		switch {
		case last == nil || last.Key != e.Key:
			all, lines = append(all, rec), append(lines, e.Line)
		case same(&last.Record, &e.Record):
			im.report.Same++
			continue
		case im.options.Replace:
			im.report.Replaced++
			all[len(all)-1], lines[len(lines)-1] = rec, e.Line
		default:
			im.report.Clashes++
			im.problem(e.Line, fmt.Sprintf("the same key stands in line %d with another secret", last.Line))
			continue
		}
		last = e
	}
	return all, lines, nil
}

// check completes the credential of e, or says why it cannot be taken.
func (im *importer) check(ctx context.Context, e *Entry) (why string, err error) {
	if e.Bad != "" {
		return e.Bad, nil
	}
	if e.ConsumerID, err = im.ownerOf(ctx, e.Owner); err != nil {
		return "", err
	}
	e.Created = im.registry.orNow(e.Created)
	switch rules := e.validate(im.registry.reserved.Load()); {
	case e.ConsumerID == "":
		return fmt.Sprintf("there is no consumer %q: add it first", e.Owner), nil
	case e.Algorithm.Symmetric() && e.Secret.Len() == 0:
		return "secret: is required", nil
	case rules != nil:
		return publicText(rules), nil
	}
	return "", nil
}

// clash decides about a credential that is there.
func (im *importer) clash(have, want *Record, line int) (replace bool) {
	a, b := *have, *want
	unreadable := im.registry.opened(&a) != nil
	switch {
	case !unreadable && im.registry.opened(&b) == nil && same(&a, &b):
		im.report.Same++
	case im.options.Replace:
		im.report.Replaced++
		return true
	default:
		im.report.Clashes++
		im.problem(line, "the key is there already and differs: --replace replaces it")
	}
	return false
}

// same tells whether two credentials of one key verify the same tokens.
func same(a, b *Record) bool {
	return a.ConsumerID == b.ConsumerID && a.Algorithm == b.Algorithm && a.PublicKey == b.PublicKey &&
		bytes.Equal(a.Secret.Reveal(), b.Secret.Reveal())
}

func (im *importer) reject(line int, why string) {
	im.report.Rejected++
	im.problem(line, why)
}

func (im *importer) problem(line int, why string) {
	if len(im.report.Problems) < maxProblems {
		im.report.Problems = append(im.report.Problems, ImportProblem{line, why})
	}
}

// publicText is what may be said of an error, with the field that it names.
func publicText(err error) string {
	e := fault.Public(err)
	if e.Field == "" {
		return e.Msg
	}
	return e.Field + ": " + e.Msg
}
