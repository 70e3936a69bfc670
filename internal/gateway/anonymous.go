package gateway

import (
	"context"
	"fmt"
	"net/http"
)

// anonymous is the consumer that stands in for callers who prove nothing.
type anonymous struct {
	name        string // username or id
	missingOnly bool   // not for callers who tried: a bad token is refused
	ring        *keyring
}

// newAnonymous returns nil if j has none.
func newAnonymous(j *JWT, ring *keyring) *anonymous {
	if j.Anonymous == "" {
		return nil
	}
	return &anonymous{j.Anonymous, j.AnonymousOn == onMissing, ring}
}

// The values of anonymous_on. The first is Kong's way and the default.
const (
	onAny     = "any"
	onMissing = "missing_only"
)

func (a *anonymous) standsIn(v verdict) bool {
	return a != nil && v.excused() && (v == noToken || !a.missingOnly)
}

// admit lets r pass as the anonymous consumer. why is what there was against it.
func (a *anonymous) admit(ctx context.Context, r *request, why string) *refusal {
	who, err := a.ring.consumer(ctx, a.name)
	switch {
	case err != nil:
		r.answer("Retry-After", "1")
		return message(http.StatusServiceUnavailable, kong3.answers[unavailable].message, err.Error())
	case who == nil:
		text := fmt.Sprintf("anonymous consumer %s is configured but doesn't exist", a.name)
		return document(http.StatusInternalServerError, text, text)
	}
	r.principal, r.excused = &Principal{Consumer: who}, why
	return nil
}
