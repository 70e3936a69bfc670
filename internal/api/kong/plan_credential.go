package kong

import (
	"context"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// credentials plans the credentials of consumers.
func (p *planner) credentials(ctx context.Context, wishes []*wish) error {
	all := keys{people{p.Registry, p.Catalog}, false}
	wanted := map[string]bool{} // by id
	for _, w := range wishes {
		if w.kind != credentials {
			continue
		}
		owner, err := p.owner(ctx, w)
		if err != nil {
			return err
		}
		if d := all.fileFind(under{}, w.title); d != nil && w.title != "" {
			if changes := p.ofFile(d, w, owner); len(changes) > 0 {
				return p.inFile(w, changes)
			}
			continue
		}
		r, err := p.record(ctx, w, owner)
		if err != nil {
			return err
		}
		if r == nil {
			p.add(w, owner)
			continue
		}
		wanted[r.ID] = true
		p.alter(w, owner, r)
	}
	if !p.Prune {
		return nil
	}
	for _, w := range wishes {
		id := p.users[w.title]
		if w.kind != consumers || p.file[id] {
			continue
		}
		if err := p.strange(ctx, id, wanted); err != nil {
			return err
		}
	}
	return nil
}

// ofFile is how a credential of the configuration file differs from w. Its secret is
// not compared.
func (p *planner) ofFile(d Document, w *wish, owner string) []string {
	before := clone(d)
	before["secret"] = w.doc["secret"]
	after := clone(w.doc)
	after["consumer"] = refer(owner)
	return differences(&credentialSchema, before, after)
}

// record finds the credential of the registry that a wish is about, nil if there is none.
func (p *planner) record(ctx context.Context, w *wish, owner string) (*consumer.Record, error) {
	if !w.first {
		r, err := p.Registry.Credential(ctx, w.title)
		if fault.KindOf(err) == fault.NotFound {
			return nil, nil
		}
		return &r, err
	}
	if i, err := p.infoOf(ctx, owner); i == nil {
		return nil, err
	}
	page := consumer.Page{}
	for {
		all, next, err := p.Registry.Credentials(ctx, owner, page)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if string(all[i].Algorithm) == text(w.doc, "algorithm") {
				return &all[i], nil
			}
		}
		if page.Offset = next; next == "" {
			return nil, nil
		}
	}
}

func (p *planner) add(w *wish, owner string) {
	r := consumer.Record{ID: text(w.doc, "id")}
	toRecord(w.doc, owner, &r)
	p.step("create", w.label())
	p.people = append(p.people, func(ctx context.Context) error { _, err := p.Registry.AddCredential(ctx, r); return err })
}

// alter plans what w says of a credential. A key and a secret that w does not state stay.
func (p *planner) alter(w *wish, owner string, r *consumer.Record) {
	wanted := *r
	toRecord(w.doc, owner, &wanted)
	if wanted.Key == "" {
		wanted.Key = r.Key
	}
	if wanted.Secret.Len() == 0 {
		wanted.Secret = r.Secret
	}
	shown := keys{}
	changes := differences(&credentialSchema, shown.show(r, false), shown.show(&wanted, false))
	if !wanted.Secret.Equal(r.Secret) {
		changes = append(changes, "secret: another one")
	}
	if len(changes) == 0 {
		return
	}
	p.step("change", w.label(), changes...)
	p.people = append(p.people, func(ctx context.Context) error {
		_, err := p.Registry.EditCredential(ctx, r.ID, func(r *consumer.Record) error {
			created, id := r.Created, r.ID
			*r = wanted
			r.Created, r.ID = created, id
			return nil
		})
		return err
	})
}

// strange plans that the other credentials of a consumer go.
func (p *planner) strange(ctx context.Context, owner string, wanted map[string]bool) error {
	i, err := p.infoOf(ctx, owner)
	if i == nil {
		return err
	}
	for page := (consumer.Page{Size: consumer.MaxPage}); ; {
		all, next, err := p.Registry.Credentials(ctx, owner, page)
		if err != nil {
			return err
		}
		for _, r := range all {
			if wanted[r.ID] {
				continue
			}
			if err := p.bounded(); err != nil {
				return err
			}
			p.step("delete", label(credentials, r.Key, map[string]string{"consumer": i.Username}))
			p.partings = append(p.partings, func(ctx context.Context) error { return p.Registry.DeleteCredential(ctx, r.ID) })
		}
		if page.Offset = next; next == "" {
			return nil
		}
	}
}

// strangers plans that consumers go which the file does not have.
func (p *planner) strangers(ctx context.Context, _ []*wish) error {
	if !p.Prune {
		return nil
	}
	wanted := map[string]bool{}
	for _, id := range p.users {
		wanted[id] = true
	}
	for page := (consumer.Page{Size: consumer.MaxPage}); ; {
		all, next, err := p.Registry.Consumers(ctx, page)
		if err != nil {
			return err
		}
		for _, i := range all {
			if wanted[i.ID] {
				continue
			}
			if err := p.bounded(); err != nil {
				return err
			}
			p.leave(&i, label(consumers, title(consumers, fromInfo(&i)), nil))
		}
		if page.Offset = next; next == "" {
			return nil
		}
	}
}

// maxPartings bounds what one import removes of consumers and credentials.
const maxPartings = 100_000

func (p *planner) bounded() error {
	if len(p.partings) >= maxPartings {
		return fault.Newf(fault.Invalid, "more than %d consumers and credentials would be removed: is this the right file?", maxPartings)
	}
	return nil
}
