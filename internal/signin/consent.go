package signin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
)

// consents is what the store does for those who are asked.
type consents interface {
	Consent(ctx context.Context, subject string, a app.ID) (Consent, error) // fault.NotFound
	// Consents returns those of a subject, what they said last first.
	Consents(ctx context.Context, subject string) ([]Consent, error)
	// PutConsent keeps c in the place of what the person let the app do before.
	PutConsent(ctx context.Context, c Consent) error
	DeleteConsent(ctx context.Context, subject string, a app.ID) error
}

// Consents returns what a person lets apps do, what they said last first.
func (b *Book) Consents(ctx context.Context, subject string) ([]Consent, error) {
	list, err := b.c.Store.Consents(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", err)
	}
	return list, nil
}

// Consented tells whether a person has let an app have all of a scope.
func (b *Book) Consented(ctx context.Context, subject string, a app.ID, scope string) (bool, error) {
	given, err := b.given(ctx, subject, a)
	if given == nil || err != nil {
		return false, err
	}
	return !slices.ContainsFunc(strings.Fields(scope), func(s string) bool { return !slices.Contains(given, s) }), nil
}

// given is what a person lets an app have: nil if they were never asked.
func (b *Book) given(ctx context.Context, subject string, a app.ID) ([]string, error) {
	c, err := b.c.Store.Consent(ctx, subject, a)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find consent: %w", err)
	}
	return append([]string{}, strings.Fields(c.Scope)...), nil
}

// Agree adds a scope to what a person lets an app have.
func (b *Book) Agree(ctx context.Context, subject string, a app.ID, scope string) error {
	given, err := b.given(ctx, subject, a)
	if err != nil {
		return err
	}
	for _, s := range strings.Fields(scope) {
		if !slices.Contains(given, s) {
			given = append(given, s)
		}
	}
	if err := b.c.Store.PutConsent(ctx, Consent{Subject: subject, App: a, Scope: strings.Join(given, " "), Given: b.c.Clock()}); err != nil {
		return fmt.Errorf("keep consent: %w", err)
	}
	return nil
}

// withdraw forgets what a person lets an app do; fault.NotFound if that is nothing.
func (b *Book) withdraw(ctx context.Context, subject string, a app.ID) error {
	given, err := b.given(ctx, subject, a)
	if err != nil {
		return err
	}
	if given == nil {
		return fault.New(fault.NotFound, "this sign-in has ended already")
	}
	return b.forget(ctx, subject, a)
}

func (b *Book) forget(ctx context.Context, subject string, a app.ID) error {
	if err := b.c.Store.DeleteConsent(ctx, subject, a); err != nil {
		return fmt.Errorf("forget consent: %w", err)
	}
	return nil
}
