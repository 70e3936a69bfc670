package token

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
)

// The bounds of assertions.
const (
	// MaxAssertion is how long an assertion may be good for: for as long its use is kept.
	MaxAssertion     = 5 * time.Minute
	assertionLeeway  = 30 * time.Second // how far the app's clock may be off
	maxAssertionID   = 256              // bytes of its jti
	keysUnavailable  = 10 * time.Second // until it is worth to try again
	assertionRefusal = "the assertion is not good"
)

// ErrAssertion is in the chain of every refusal of an assertion. Why it was refused is
// for the log.
var ErrAssertion = errors.New("assertion refused")

// used notes what was shown.
type used interface {
	// UseAssertion tells whether this is the first time that the id is shown.
	UseAssertion(ctx context.Context, id [32]byte, expires time.Time) (bool, error)
}

// AssertionConfig requires all but Clock.
type AssertionConfig struct {
	Issuer string           // the one aud that is taken
	Keys   carnet.KeySource // of apps, by iss
	Used   used
	Clock  func() time.Time // nil: time.Now
}

// Assertions reads what apps sign with keys of their own: who they are, or for whom they
// want a token (RFC 7523 §3). It is safe for concurrent use.
type Assertions struct {
	verifier *carnet.Verifier
	issuer   string
	used     used
	clock    func() time.Time
}

// Assertion is one whose signature and times are good. It counts once [Assertions.Use]
// has taken it.
type Assertion struct {
	App     app.ID // iss
	Subject string // sub

	id      [32]byte
	expires time.Time
}

// NewAssertions returns a reader of assertions.
func NewAssertions(c AssertionConfig) (*Assertions, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: c.Keys, Clock: c.Clock, Policy: carnet.Policy{
		AnyIssuer: true, // whose keys are found by it
		Audience:  c.Issuer, Leeway: assertionLeeway, Required: []string{"iss", "sub", "jti"},
	}})
	if err != nil {
		return nil, err
	}
	return &Assertions{verifier: v, issuer: c.Issuer, used: c.Used, clock: c.Clock}, nil
}

// Read takes an assertion whose only audience is this issuer: one that names another
// server too could be carried from here to there, or from there to here.
func (a *Assertions) Read(ctx context.Context, jwt string) (Assertion, error) {
	t, err := a.verifier.Verify(ctx, jwt)
	if errors.Is(err, carnet.ErrKeysUnavailable) {
		return Assertion{}, &fault.Error{Kind: fault.Unavailable, Msg: "the app's keys cannot be fetched right now", RetryAfter: keysUnavailable, Err: err}
	}
	if err != nil {
		return Assertion{}, refuseAssertion(err)
	}
	now := a.clock()
	expires, _ := t.Expiry()
	issued, dated := t.IssuedAt()
	switch id := t.ID(); {
	case !slices.Equal(t.Audience(), []string{a.issuer}):
		return Assertion{}, refuseAssertion(errors.New("it is for others, too"))
	case !slices.Contains([]string{"", "jwt", "client-authentication+jwt", "authorization-grant+jwt"},
		strings.TrimPrefix(strings.ToLower(t.Type()), "application/")):
		return Assertion{}, refuseAssertion(carnet.ErrType)
	case expires.Sub(now) > MaxAssertion+assertionLeeway:
		return Assertion{}, refuseAssertion(carnet.ErrLifetime)
	case dated && issued.After(now.Add(assertionLeeway)):
		return Assertion{}, refuseAssertion(carnet.ErrNotYetValid)
	case id == "" || len(id) > maxAssertionID:
		return Assertion{}, refuseAssertion(fmt.Errorf("its jti has %d bytes, not 1 to %d", len(id), maxAssertionID))
	case !ValidSubject(t.Subject()):
		return Assertion{}, refuseAssertion(badSubject("sub"))
	default:
		return Assertion{
			App: app.ID(t.Issuer()), Subject: t.Subject(),
			id: assertionID(t.Issuer(), id), expires: expires.Add(assertionLeeway),
		}, nil
	}
}

// Use takes an assertion, once on all nodes.
func (a *Assertions) Use(ctx context.Context, as Assertion) error {
	first, err := a.used.UseAssertion(ctx, as.id, as.expires)
	if err != nil {
		return fmt.Errorf("note assertion: %w", err)
	}
	if !first {
		return refuseAssertion(ErrReplay)
	}
	return nil
}

// assertionID is one for each pair of who made the assertion and its jti.
func assertionID(issuer, jti string) [32]byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(issuer)))
	return sha256.Sum256(append(append(b, issuer...), jti...))
}

func refuseAssertion(why error) error {
	return fault.Wrap(fault.Unauthenticated, assertionRefusal, fmt.Errorf("%w: %w", ErrAssertion, why))
}
