package gateway

import (
	"errors"
	"net/http"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
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
	noMaterial // the credential has nothing to verify with
	wrongSignature
	claimRefused // exp, nbf and what else the route asks for; the body says which
	tooFarAhead  // maximum_expiration
	policyRefused
	noConsumer // the credential is nobody's any more
	revoked
	unavailable // nobody can say now whose the token is
	numVerdicts
)

// excused tells whether an anonymous consumer may take the place of the caller that a
// token does not prove: not where we only failed to find out.
func (v verdict) excused() bool { return v != unavailable }

// profile is what the outside sees of each verdict. Programs in the field compare
// these, so each profile is one table.
type profile struct {
	answers answers
	old     bool // as Kong 0.14: the first token counts, and headers tell less
}

type answers [numVerdicts]struct {
	status  int
	message string // says 'iss' for the claim; "" where the body is made for the token
}

// The statuses of the tables below.
const (
	unauthorized = http.StatusUnauthorized
	forbidden    = http.StatusForbidden
	down         = http.StatusServiceUnavailable
)

// kong3 answers as Kong 1.1 and later does.
var kong3 = profile{answers: answers{
	noToken:        {unauthorized, "Unauthorized"},
	severalTokens:  {unauthorized, "Multiple tokens provided"},
	bareParameter:  {unauthorized, "Unrecognizable token"},
	badJSON:        {unauthorized, "Bad token; invalid JSON"},
	badAlg:         {unauthorized, "Bad token; invalid alg"},
	badClaims:      {unauthorized, "Bad token; invalid claims"},
	badSignature:   {unauthorized, "Bad token; invalid signature"},
	noIssuer:       {unauthorized, "No mandatory 'iss' in claims"},
	badIssuer:      {unauthorized, "Invalid 'iss' in claims"},
	noCredential:   {unauthorized, "No credentials found for given 'iss'"},
	wrongAlg:       {unauthorized, "Invalid algorithm"},
	noMaterial:     {unauthorized, "Invalid key/secret"},
	wrongSignature: {unauthorized, "Invalid signature"},
	claimRefused:   {unauthorized, ""},
	tooFarAhead:    {unauthorized, ""},
	policyRefused:  {unauthorized, "Unauthorized"},
	noConsumer:     {unauthorized, ""},
	revoked:        {unauthorized, "Unauthorized"},
	unavailable:    {down, "Credentials cannot be looked up right now"},
}}

// sunbird answers as Kong 0.14 does with Sunbird's plugin: an installed app asks for a
// new token after 403, or after 401 with the message Unauthorized, and never else.
var sunbird = profile{old: true, answers: answers{
	noToken:        {unauthorized, "Unauthorized"},
	severalTokens:  {unauthorized, "Multiple tokens provided"},
	bareParameter:  {unauthorized, "Unrecognizable token"},
	badJSON:        {unauthorized, "Unauthorized"},
	badAlg:         {unauthorized, "Unauthorized"},
	badClaims:      {unauthorized, "Unauthorized"},
	badSignature:   {unauthorized, "Unauthorized"},
	noIssuer:       {unauthorized, "No mandatory 'iss' in claims"},
	badIssuer:      {forbidden, "No credentials found for given 'iss'"},
	noCredential:   {forbidden, "No credentials found for given 'iss'"},
	wrongAlg:       {forbidden, "Invalid algorithm"},
	noMaterial:     {forbidden, "Invalid key/secret"},
	wrongSignature: {forbidden, "Invalid signature"},
	claimRefused:   {unauthorized, ""},
	tooFarAhead:    {forbidden, ""},
	policyRefused:  {unauthorized, "Unauthorized"},
	noConsumer:     {forbidden, ""},
	revoked:        {unauthorized, "Unauthorized"},
	unavailable:    {down, "Credentials cannot be looked up right now"},
}}

// profiles are the values of status_profile.
var profiles = map[string]*profile{"": &kong3, "kong3": &kong3, "sunbird": &sunbird}

// old tells whether j, nil if there is none, answers as the Kong did that Sunbird has.
func (j *JWT) old() bool { return j != nil && profiles[j.StatusProfile].old }

// verdictOf reads the verifier's error about a token that names its credential by
// claim. A token that cannot be taken apart is looked at again, since Kong says more
// about it than the verifier does.
func verdictOf(token, claim string, err error) verdict {
	switch {
	case errors.Is(err, carnet.ErrKeysUnavailable):
		return unavailable
	case errors.Is(err, carnet.ErrMalformed), errors.Is(err, carnet.ErrClaim):
		return diagnose(token, claim)
	case errors.Is(err, carnet.ErrUnknownKey):
		if v := diagnose(token, claim); v == noIssuer || v == badIssuer {
			return v
		}
		return noCredential
	case errors.Is(err, consumer.ErrNoMaterial):
		return noMaterial
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
