package kong

import (
	"context"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// keys are the credentials of consumers. Secrets of the registry go out with those who
// make or set them, and with everybody only if shown says so; those of the file never.
type keys struct {
	people
	shown bool
}

func (c keys) ofFile(in under) []Document {
	var all []Document
	file := c.catalog.state.Load().file.Consumers
	for i := range file {
		id := consumerID(file[i].Username)
		for j := range file[i].JWTSecrets {
			if in.member == "" || in.id == id {
				all = append(all, fromFileSecret(id, &file[i].JWTSecrets[j]))
			}
		}
	}
	return all
}

// fromFileSecret shows a credential of the file, without its secret. One of a key set
// of Carnet's own names that, which Kong does not know.
func fromFileSecret(owner string, s *gateway.JWTSecret) Document {
	alg := s.Algorithm
	if alg == "" && s.KeySet == "" {
		alg = string(jose.HS256)
	}
	d := Document{
		"id": uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:carnet:credential:"+s.Key)).String(), "consumer": refer(owner),
		"key": textOrNil(s.Key), "algorithm": textOrNil(alg), "rsa_public_key": textOrNil(s.PublicKey), "tags": nil, "created_at": int64(0),
	}
	if s.KeySet != "" {
		d["key_set"] = s.KeySet
	}
	return d
}

func (c keys) fileFind(in under, name string) Document {
	if name == "" {
		return nil
	}
	for _, d := range c.ofFile(in) {
		if text(d, "id") == name || text(d, "key") == name {
			return d
		}
	}
	return nil
}

// mayChange refuses to change what the file has.
func (c keys) mayChange(in under, name string) error {
	if d := c.fileFind(in, name); d != nil {
		return fixed("credential", text(d, "key"), c.catalog.c.FileName)
	}
	return nil
}

// show is a credential of the registry in an answer.
func (c keys) show(r *consumer.Record, withSecret bool) Document {
	d := Document{
		"id": r.ID, "consumer": refer(r.ConsumerID), "key": r.Key, "algorithm": string(r.Algorithm),
		"rsa_public_key": textOrNil(r.PublicKey), "tags": listOf(r.Tags), "created_at": seconds(r.Created),
	}
	if withSecret || c.shown {
		d["secret"] = textOrNil(string(r.Secret.Reveal()))
	}
	return d
}

// in finds the credential of a name, within a consumer if one is given.
func (c keys) record(ctx context.Context, in under, name string) (consumer.Record, error) {
	r, err := c.Credential(ctx, name)
	if err == nil && in.member != "" && r.ConsumerID != in.id {
		err = errNotFound
	}
	return r, err
}

func (c keys) get(ctx context.Context, in under, name string) (Document, error) {
	if d := c.fileFind(in, name); d != nil {
		return d, nil
	}
	r, err := c.record(ctx, in, name)
	if err != nil {
		return nil, err
	}
	return c.show(&r, false), nil
}

func (c keys) list(ctx context.Context, in under, p page) (listing, error) {
	file := c.ofFile(in)
	return twoLists(p, len(file), func(n int) Document { return file[n] }, func(p consumer.Page) ([]Document, string, error) {
		if in.member != "" && c.people.ofFile(in.id) != nil {
			return nil, "", nil
		}
		all, next, err := c.Credentials(ctx, in.id, p)
		out := make([]Document, len(all))
		for n := range all {
			out[n] = c.show(&all[n], false)
		}
		return out, next, err
	})
}

func (c keys) add(ctx context.Context, d Document) (Document, error) {
	d, wrong := credentialSchema.complete(d)
	if wrong != nil {
		return nil, violation(wrong)
	}
	if err := c.mayChange(under{}, text(d, "key")); err != nil {
		return nil, err
	}
	owner, err := c.owner(ctx, d)
	if err != nil {
		return nil, err
	}
	r := consumer.Record{ID: text(d, "id")}
	toRecord(d, owner, &r)
	if r, err = c.AddCredential(ctx, r); err != nil {
		return nil, clash(err, d)
	}
	return c.show(&r, true), nil
}

// owner is the id of the consumer that a credential is to be of.
func (c keys) owner(ctx context.Context, d Document) (string, error) {
	to, _ := d["consumer"].(Document)
	if len(to) == 0 {
		return "", violation(fields{"consumer": "required field missing"})
	}
	owner, err := c.catalog.consumer(ctx, to)
	if err == nil {
		err = c.people.mayChange(owner)
	}
	return owner, err
}

// toRecord sets what a complete document says.
func toRecord(d Document, owner string, r *consumer.Record) {
	r.ConsumerID, r.Key, r.Algorithm = owner, text(d, "key"), jose.Algorithm(text(d, "algorithm"))
	r.PublicKey, r.Tags = text(d, "rsa_public_key"), texts(d, "tags")
	r.Secret = secret.Bytes{}
	if s := text(d, "secret"); s != "" {
		r.Secret = secret.FromString(s)
	}
}

// unchanged stands for a secret while its credential is edited.
const unchanged = "\x00"

func (c keys) edit(ctx context.Context, in under, name string, change func(Document) Document) (Document, error) {
	if err := c.mayChange(in, name); err != nil {
		return nil, err
	}
	old, err := c.record(ctx, in, name)
	if err != nil {
		return nil, err
	}
	owner, err := c.owner(ctx, change(c.show(&old, false)))
	if err != nil {
		return nil, err
	}
	var wanted Document
	isNew := false
	r, err := c.EditCredential(ctx, old.ID, func(r *consumer.Record) error {
		before := c.show(r, false)
		before["secret"] = unchanged
		d, wrong := credentialSchema.complete(change(before))
		if wrong != nil {
			return violation(wrong)
		}
		kept := r.Secret
		toRecord(d, owner, r)
		if isNew = text(d, "secret") != unchanged; !isNew {
			r.Secret = kept
		}
		wanted = d
		return c.mayChange(under{}, r.Key)
	})
	if err != nil {
		return nil, clash(err, wanted)
	}
	return c.show(&r, isNew), nil
}

func (c keys) remove(ctx context.Context, in under, name string) error {
	if err := c.mayChange(in, name); err != nil {
		return err
	}
	r, err := c.record(ctx, in, name)
	if err != nil {
		return err
	}
	return c.DeleteCredential(ctx, r.ID)
}
