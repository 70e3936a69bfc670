package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

// jwtStage asks for a token of a known credential, as Kong's plugin jwt does.
type jwtStage struct {
	places    places
	dialect   dialect
	verifier  *carnet.Verifier
	times     times
	preflight bool // check OPTIONS requests too
	profile   *profile
	bare      string // WWW-Authenticate where no token was sent
	invalid   string // and where one was
}

func newJWTStage(j *JWT, v *carnet.Verifier) *jwtStage {
	s := &jwtStage{
		places: newPlaces(j), dialect: newDialect(j), verifier: v, profile: &kong3,
		times: times{
			exp:   slices.Contains(j.ClaimsToVerify, "exp"),
			nbf:   slices.Contains(j.ClaimsToVerify, "nbf"),
			ahead: time.Duration(j.MaximumExpiration) * time.Second,
		},
		preflight: j.RunOnPreflight == nil || *j.RunOnPreflight,
		bare:      "Bearer", invalid: `Bearer error="invalid_token"`,
	}
	if j.Realm != "" {
		s.bare = `Bearer realm="` + j.Realm + `"`
		s.invalid = s.bare + `, error="invalid_token"`
	}
	return s
}

func (*jwtStage) name() string { return "jwt" }

func (s *jwtStage) check(ctx context.Context, r *request) *refusal {
	if r.method == http.MethodOptions && !s.preflight {
		return nil
	}
	token, v := s.places.find(r)
	if v != admitted {
		return s.refuse(v, "", nil)
	}
	t, err := s.verifier.Verify(ctx, token)
	if err != nil {
		return s.refuse(verdictOf(token, err), "", err)
	}
	if v, body := s.times.check(t, r.now); v != admitted {
		return s.refuse(v, body, nil)
	}
	cred, ok := t.Owner().(*consumer.Credential)
	if !ok { // a key of no credential stands for nobody
		return s.refuse(noCredential, "", nil)
	}
	if cred.Policy != nil {
		if v, body, err := checkPolicy(cred.Policy, t, r.now); v != admitted {
			return s.refuse(v, body, err)
		}
	}
	r.principal = s.principal(cred, t)
	return nil
}

func (s *jwtStage) principal(cred *consumer.Credential, t *carnet.Verified) *Principal {
	p := &Principal{Consumer: cred.Consumer, Credential: cred, Identity: cred.Key, Token: t}
	if d, ok := parseIssuer(t.Issuer(), s.dialect.prefixes); ok {
		p.Identity, p.Device = t.Issuer(), d.name
	}
	return p
}

// refuse makes the answer for a verdict. body is for the verdicts that have no
// message of their own, err is the reason if there is a better one than that.
func (s *jwtStage) refuse(v verdict, body string, err error) *refusal {
	out := s.profile[v]
	f := &refusal{status: out.status, body: body, challenge: s.invalid, reason: out.message}
	if v == noToken {
		f.challenge = s.bare
	}
	switch {
	case out.message != "":
		f.body = `{"message":` + strconv.Quote(out.message) + `}`
	default:
		f.reason = body
	}
	if err != nil {
		f.reason = err.Error()
	}
	return f
}
