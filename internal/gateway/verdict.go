package gateway

import (
	"errors"
	"net/http"

	"github.com/carnetproject/carnet"
)

// verdict is what the jwt stage finds, in the order in which it looks.
type verdict uint8

const (
	admitted verdict = iota
	noToken
	severalTokens
	bareParameter // ?jwt without "="
	badJSON       // the token cannot be taken apart
	badAlg
	badClaims
	badSignature // it is not one, as opposed to wrongSignature
	noIssuer
	badIssuer
	noCredential
	wrongAlg
	wrongSignature
	claimRefused // exp, nbf; the body says which
	tooFarAhead  // maximum_expiration
	policyRefused
	revoked
	numVerdicts
)

// profile is what the outside sees of each verdict. Programs in the field compare
// these, so each profile is one table.
type profile [numVerdicts]struct {
	status  int
	message string // "" where the body is made of the claims
}

// kong3 answers as Kong 1.1 and later does.
var kong3 = profile{
	noToken:        {http.StatusUnauthorized, "Unauthorized"},
	severalTokens:  {http.StatusUnauthorized, "Multiple tokens provided"},
	bareParameter:  {http.StatusUnauthorized, "Unrecognizable token"},
	badJSON:        {http.StatusUnauthorized, "Bad token; invalid JSON"},
	badAlg:         {http.StatusUnauthorized, "Bad token; invalid alg"},
	badClaims:      {http.StatusUnauthorized, "Bad token; invalid claims"},
	badSignature:   {http.StatusUnauthorized, "Bad token; invalid signature"},
	noIssuer:       {http.StatusUnauthorized, "No mandatory 'iss' in claims"},
	badIssuer:      {http.StatusUnauthorized, "Invalid 'iss' in claims"},
	noCredential:   {http.StatusUnauthorized, "No credentials found for given 'iss'"},
	wrongAlg:       {http.StatusUnauthorized, "Invalid algorithm"},
	wrongSignature: {http.StatusUnauthorized, "Invalid signature"},
	claimRefused:   {http.StatusUnauthorized, ""},
	tooFarAhead:    {http.StatusUnauthorized, ""},
	policyRefused:  {http.StatusUnauthorized, "Unauthorized"},
	revoked:        {http.StatusUnauthorized, "Unauthorized"},
}

// verdictOf reads the verifier's error. A token that cannot be taken apart is
// looked at again, since Kong says more about it than the verifier does.
func verdictOf(token string, err error) verdict {
	switch {
	case errors.Is(err, carnet.ErrMalformed), errors.Is(err, carnet.ErrClaim):
		return diagnose(token)
	case errors.Is(err, carnet.ErrUnknownKey):
		if v := diagnose(token); v == noIssuer || v == badIssuer {
			return v
		}
		return noCredential
	case errors.Is(err, carnet.ErrAlgorithm):
		return wrongAlg
	case errors.Is(err, carnet.ErrSignature):
		return wrongSignature
	case errors.Is(err, carnet.ErrRevoked):
		return revoked
	default:
		return policyRefused
	}
}
