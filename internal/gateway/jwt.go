package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

// jwtStage asks for a token of a known credential, as Kong's plugin jwt does.
type jwtStage struct {
	places    places
	dialect   dialect
	verifier  *carnet.Verifier
	networks  *networks // nil: any number of bad tokens is looked at
	demands   demands
	preflight bool       // check OPTIONS requests too
	anonymous *anonymous // nil: who proves nothing is refused
	profile   *profile
	bodies    [numVerdicts]string // of the profile's messages
	bare      string              // WWW-Authenticate where no token was sent
	invalid   string              // and where one was
	told      []claimHeader       // what the upstream hears of the claims
	scrub     *scrub              // nil: the upstream sees the request as it came
}

func newJWTStage(j *JWT, v *carnet.Verifier, n *networks, ring *keyring) *jwtStage {
	s := &jwtStage{
		places: newPlaces(j), dialect: newDialect(j), verifier: v, networks: n, demands: newDemands(j),
		preflight: j.RunOnPreflight == nil || *j.RunOnPreflight,
		anonymous: newAnonymous(j, ring), profile: profiles[j.StatusProfile],
		told: newClaimHeaders(j.ClaimHeaders),
	}
	s.places.first = s.profile.old
	s.scrub = newScrub(j, &s.places)
	for v, a := range s.profile.answers {
		s.bodies[v] = `{"message":` + quote(strings.Replace(a.message, "'iss'", "'"+s.dialect.claim+"'", 1)) + `}`
	}
	if s.profile.old {
		return s
	}
	s.bare, s.invalid = "Bearer", `Bearer error="invalid_token"`
	if j.Realm != "" {
		s.bare = `Bearer realm="` + j.Realm + `"`
		s.invalid = s.bare + `, error="invalid_token"`
	}
	return s
}

func (*jwtStage) name() string { return "jwt" }

func (s *jwtStage) check(ctx context.Context, r *request) *refusal {
	r.scrub = s.scrub
	if r.method == http.MethodOptions && !s.preflight {
		return nil
	}
	token, v := s.places.find(r)
	if v != admitted {
		return s.refuse(ctx, r, failure{verdict: v})
	}
	visit, over := s.networks.enter(r, s.verifier, token)
	if over != nil {
		return over
	}
	t, err := s.verifier.Verify(ctx, token)
	visit.leave(err)
	if err != nil {
		return s.refuse(ctx, r, failure{verdict: verdictOf(token, s.dialect.claim, err), err: err})
	}
	cred, f := s.accept(t, r)
	if f.verdict != admitted {
		return s.refuse(ctx, r, f)
	}
	r.principal = s.principal(cred, t)
	if !s.profile.old {
		r.identifier = r.principal.Identity
	}
	if s.told != nil {
		r.told = tell(s.told, t)
	}
	return nil
}

// failure is why a token does not let its request pass; the zero failure is none.
type failure struct {
	verdict verdict
	body    string // for the verdicts that have no message of their own
	err     error  // a better reason than the message, if there is one
}

// accept checks what a token claims whose signature is good.
func (s *jwtStage) accept(t *carnet.Verified, r *request) (*consumer.Credential, failure) {
	if f := s.demands.check(t, r.now); f.verdict != admitted {
		return nil, f
	}
	cred, ok := t.Owner().(*consumer.Credential)
	switch {
	case !ok: // a key of no credential stands for nobody
		return nil, failure{verdict: noCredential}
	case cred.Consumer == nil:
		text := "Could not find consumer for '" + s.dialect.claim + "=" + cred.Key + "'"
		return nil, failure{verdict: noConsumer, body: `{"message":` + quote(text) + `}`}
	case cred.Policy != nil:
		return cred, checkPolicy(cred.Policy, t, r.now)
	default:
		return cred, failure{}
	}
}

// principal is who a token stands for. A device is known by its whole issuer, be it
// found by a prefix or by a kid; the latter is not for those who share a secret, since
// each of them could say what it likes.
func (s *jwtStage) principal(cred *consumer.Credential, t *carnet.Verified) *Principal {
	p := &Principal{Consumer: cred.Consumer, Credential: cred, Identity: cred.Key, Token: t}
	iss := t.Issuer()
	if d, ok := parseIssuer(iss, s.dialect.prefixes); ok {
		p.Identity, p.Device = iss, d.name
	} else if s.dialect.kid && !cred.Symmetric() && iss != cred.Key && iss != "" {
		p.Identity, p.Device = iss, iss
	}
	return p
}

// refuse makes the answer for f, unless an anonymous consumer stands in.
func (s *jwtStage) refuse(ctx context.Context, r *request, f failure) *refusal {
	answer := &s.profile.answers[f.verdict]
	reason := answer.message
	switch {
	case f.err != nil:
		reason = f.err.Error()
	case reason == "":
		reason = f.body
	}
	if s.anonymous.standsIn(f.verdict) {
		return s.anonymous.admit(ctx, r, reason)
	}
	out := &refusal{status: answer.status, body: f.body, challenge: s.invalid, reason: reason}
	if answer.message != "" {
		out.body = s.bodies[f.verdict]
	}
	switch f.verdict {
	case noToken:
		out.challenge = s.bare
	case noConsumer:
		out.challenge = ""
	case unavailable:
		out.challenge = ""
		r.answer("Retry-After", "1")
	default:
	}
	return out
}
