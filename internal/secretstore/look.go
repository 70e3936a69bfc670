package secretstore

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/trace"
)

// entry is what is known of a secret. It is not changed once it is in the map.
type entry struct {
	Secret
	mark string    // unlike that of another value; memory alone may have it
	err  error     // of the last look; the secret is stale, then
	read time.Time // when the secret was found; zero: never
	seen time.Time // when it was looked for
	due  time.Time // when to look again
}

// answer is the secret if it may still be used.
func (e *entry) answer(now time.Time) (Secret, error) {
	if e.err != nil && (e.read.IsZero() || now.Sub(e.read) > MaxStale) {
		return Secret{}, e.err
	}
	return e.Secret, nil
}

func (r *Resolver) entry(n secret.SRN) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[n]
}

// look asks the providers. It goes on after ctx has ended, for at most 10 seconds, since
// others may wait for the same.
func (r *Resolver) look(ctx context.Context, n secret.SRN) (*entry, error) {
	detached := context.WithoutCancel(ctx)
	done := r.looks.DoChan(n.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(detached, patience)
		defer cancel()
		e := r.next(ctx, r.entry(n), n)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.known[n] = e
		return e, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-done:
		return got.Val.(*entry), nil
	}
}

// next is what is known after one more look; before is nil at the first.
func (r *Resolver) next(ctx context.Context, before *entry, n secret.SRN) *entry {
	ctx, span := trace.Start(ctx, "secret resolve")
	defer span.End()
	found, err := r.ask(ctx, n)
	now := r.clock()
	e := &entry{Secret: found, err: err, read: now, seen: now, due: now.Add(TTL*9/10 + rand.N(TTL/5))}
	result := "ok"
	switch {
	case err == nil:
		e.mark = found.mark()
	case fault.KindOf(err) == fault.NotFound:
		e.read, e.due, result = time.Time{}, now.Add(retry), "not_found"
	default:
		e.read, e.due, result = time.Time{}, now.Add(retry), "error"
		if before != nil && !before.read.IsZero() {
			e.Secret, e.mark, e.read = before.Secret, before.mark, before.read
		}
		if _, gone := e.answer(now); gone == nil {
			result = "stale"
			if before.err == nil {
				r.log.LogAttrs(ctx, slog.LevelWarn, "secret cannot be read again, its last value stays in force for a while",
					slog.String("secret", n.String()), slog.Any("err", err))
			}
		}
	}
	span.Set("carnet.provider", found.Provider)
	span.Set("carnet.result", result)
	if result == "error" || result == "stale" {
		span.Fail(result)
	}
	r.mu.Lock()
	observe := r.observe
	r.mu.Unlock()
	if observe != nil {
		observe(found.Provider, result)
	}
	return e
}

// ask returns what the first provider has that has it. With an error, the secret says
// whose it is, and no more.
func (r *Resolver) ask(ctx context.Context, n secret.SRN) (Secret, error) {
	var places []string
	for _, name := range r.order {
		p := r.providers[name]
		v, found, err := p.find(ctx, n)
		if err == nil && !found {
			places = append(places, p.place(n))
			continue
		}
		s := Secret{Provider: name, Version: v.version}
		if err != nil {
			return s, err
		}
		if s.Value, err = Fit(n.Type, v.text); err != nil {
			return s, fault.Newf(fault.Invalid, "%s %s", n, fault.Public(err).Msg)
		}
		return s, nil
	}
	where := "neither " + strings.Join(places, " nor ")
	switch len(places) {
	case 0:
		where = "nowhere: there is no provider to ask"
	case 1:
		where = "not " + places[0]
	}
	return Secret{Provider: "none"}, fault.Newf(fault.NotFound, "%s is %s", n, where)
}

// local finds what a provider needs itself, such as a token: in the environment and in
// files alone, and anew each time.
func (r *Resolver) local(ctx context.Context, ref string) (secret.Bytes, error) {
	n, err := r.parse(ctx, ref)
	if err != nil {
		return secret.Bytes{}, err
	}
	near := Resolver{order: []string{Env, File}, providers: r.providers}
	s, err := near.ask(ctx, n.SRN)
	if err != nil {
		return secret.Bytes{}, err
	}
	return narrowValue(s.Value, n)
}

// narrow is what an entry answers to a ref: the secret, or a field of it.
func narrow(e *entry, now time.Time, n secret.Ref) (Secret, error) {
	s, err := e.answer(now)
	if err != nil {
		return Secret{}, err
	}
	s.Value, err = narrowValue(s.Value, n)
	return s, err
}

func narrowValue(v secret.Bytes, n secret.Ref) (secret.Bytes, error) {
	if n.Pointer == "" {
		return v, nil
	}
	return field(v, n)
}
