package consumer

import (
	"context"
	"crypto/rand"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// Credentials lists the credentials of a consumer, named as [Registry.Consumer] takes
// it, or all for "", in the order of their making. next is as in [Registry.Consumers].
func (r *Registry) Credentials(ctx context.Context, consumer string, p Page) (all []Record, next string, err error) {
	if p, err = p.valid(); err != nil {
		return nil, "", err
	}
	if consumer != "" {
		i, err := r.Consumer(ctx, consumer)
		if err != nil {
			return nil, "", err
		}
		consumer = i.ID
	}
	if all, next, err = r.store.Credentials(ctx, consumer, p); err != nil {
		return nil, "", wrap("list credentials", err)
	}
	for i := range all {
		if err := r.opened(&all[i]); err != nil {
			return nil, "", err
		}
	}
	return all, next, nil
}

// Credential returns the credential of that id or else key, fault.NotFound if there
// is none.
func (r *Registry) Credential(ctx context.Context, name string) (Record, error) {
	rec, err := r.store.Credential(ctx, name)
	if err != nil {
		return Record{}, wrap("find credential", err)
	}
	return rec, r.opened(&rec)
}

// AddCredential adds a credential of the consumer that ConsumerID names by id or
// username, and returns it with what was left out: id, key, algorithm, secret, time.
func (r *Registry) AddCredential(ctx context.Context, rec Record) (Record, error) {
	owner, err := r.Consumer(ctx, rec.ConsumerID)
	if err != nil {
		return Record{}, err
	}
	rec.ConsumerID = owner.ID
	rec.complete()
	rec.Created = r.orNow(rec.Created)
	if err := rec.validate(r.reserved.Load()); err != nil {
		return Record{}, err
	}
	plain := rec.Secret
	if err := r.sealed(&rec); err != nil {
		return Record{}, err
	}
	if rec, err = r.store.AddCredential(ctx, rec); err != nil {
		return Record{}, wrap("add credential", err)
	}
	rec.Secret, rec.Sealed = plain, nil
	r.forget(rec.Key)
	return rec, nil
}

// EditCredential changes all but the id of the credential of that id or else key. To
// clear the key or the secret makes a new one.
func (r *Registry) EditCredential(ctx context.Context, name string, edit func(*Record) error) (Record, error) {
	var after Record
	key, err := r.store.EditCredential(ctx, name, func(rec *Record) error {
		if err := r.opened(rec); err != nil {
			return err
		}
		id := rec.ID
		if err := edit(rec); err != nil {
			return err
		}
		rec.ID = id
		rec.complete()
		if err := rec.validate(r.reserved.Load()); err != nil {
			return err
		}
		after = *rec
		return r.sealed(rec)
	})
	if err != nil {
		return Record{}, wrap("change credential", err)
	}
	r.forget(key, after.Key)
	r.generation.Add(1)
	return after, nil
}

// DeleteCredential removes the credential of that id or else key.
func (r *Registry) DeleteCredential(ctx context.Context, name string) error {
	key, err := r.store.RemoveCredential(ctx, name)
	if err != nil {
		return wrap("remove credential", err)
	}
	r.forget(key)
	r.generation.Add(1)
	return nil
}

// complete fills in what Kong fills in.
func (r *Record) complete() {
	if r.Algorithm == "" {
		r.Algorithm = jose.HS256
	}
	if r.Key == "" {
		r.Key = string(randomText())
	}
	if r.Secret.Len() == 0 && r.Algorithm.Symmetric() {
		r.Secret = secret.New(randomText())
	}
}

// randomText is 32 letters and digits: 190 bits.
func randomText() []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, 0, 32)
	for buf := make([]byte, 64); ; {
		_, _ = rand.Read(buf) // never fails (crypto/rand)
		for _, b := range buf {
			if len(text) == cap(text) {
				return text
			}
			if b &= 63; int(b) < len(alphabet) {
				text = append(text, alphabet[b])
			}
		}
	}
}
