package gateway

import (
	"errors"
	"time"

	"github.com/carnetproject/carnet"
)

// times is what a route verifies of a token's times. Kong verifies none unless
// told to; its clock ticks in seconds and knows no leeway.
type times struct {
	exp, nbf bool
	ahead    time.Duration // how far exp may lie ahead; 0: any
}

// The faults as members of the body.
const (
	expNotNumber = `"exp":"must be a number"`
	expPast      = `"exp":"token expired"`
	expFar       = `"exp":"exceeds maximum allowed expiration"`
	nbfNotNumber = `"nbf":"must be a number"`
	nbfAhead     = `"nbf":"token not valid yet"`
)

// check names every time at fault in body.
func (c *times) check(t *carnet.Verified, now time.Time) (v verdict, body string) {
	now = now.Truncate(time.Second)
	exp, expOK := t.Expiry()
	nbf, nbfOK := t.NotBefore()
	switch {
	case !c.exp:
	case !expOK:
		body = expNotNumber
	case !exp.After(now):
		body = expPast
	}
	fault := ""
	switch {
	case !c.nbf:
	case !nbfOK:
		fault = nbfNotNumber
	case nbf.After(now):
		fault = nbfAhead
	}
	if body != "" && fault != "" {
		body += ","
	}
	switch body += fault; {
	case body != "":
		return claimRefused, "{" + body + "}"
	case c.ahead > 0 && exp.Sub(now) > c.ahead:
		return tooFarAhead, "{" + expFar + "}"
	default:
		return admitted, ""
	}
}

// checkPolicy applies what a credential demands beyond the route. A time at fault
// is told as Kong tells it, anything else is just "Unauthorized".
func checkPolicy(p *carnet.Policy, t *carnet.Verified, now time.Time) (v verdict, body string, err error) {
	switch err = p.Check(t, now); {
	case err == nil:
		return admitted, "", nil
	case errors.Is(err, carnet.ErrExpired):
		return claimRefused, "{" + expPast + "}", err
	case errors.Is(err, carnet.ErrNotYetValid):
		return claimRefused, "{" + nbfAhead + "}", err
	default:
		return policyRefused, "", err
	}
}
