package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/limit"
)

// refusedPerIP is what a request is refused by whose network has shown too many bad
// tokens: the name of its member in the configuration.
const refusedPerIP = "refused_per_ip"

// networkTable is the memory for the networks that show bad tokens, in bytes: 78,000
// of them in one window.
const networkTable = 2 << 20

// networks bounds the tokens that one network may have refused, so that a flood of
// made-up ones costs next to nothing. A network that spent its bound still gets in
// with tokens that were verified before; so those who share an address with a flood
// go on. nil has no bound.
type networks struct {
	counters *limit.Counters
	rule     limit.Rule
}

// newNetworks returns nil for a rate that is no limit. counters outlive a reload.
func newNetworks(rate limit.Rate, counters *limit.Counters) *networks {
	if rate == (limit.Rate{}) {
		return nil
	}
	return &networks{counters, limit.Rule{Quotas: rate.Quotas()}}
}

// visit is one token of a network on its way through verification.
type visit struct {
	networks *networks // nil: nothing was counted
	key      limit.Key
	now      time.Time
}

// enter counts a token that v does not know, before it is looked at: so of tokens that
// come at once no more are looked at than the bound allows. A request that is looked at
// again counts nothing: else a flood would keep open what its own network is to lose.
func (n *networks) enter(r *request, v *carnet.Verifier, token string) (visit, *refusal) {
	if n == nil || r.again || v.Known(token) {
		return visit{}, nil
	}
	to := visit{n, n.counters.Key(network(r.addr)), r.now}
	u := n.counters.Take(to.key, &n.rule, r.now)
	if u.OK {
		return to, nil
	}
	r.answer(lineRetryAfter, seconds(u.Windows[tightest(&u)].Reset))
	f := document(http.StatusTooManyRequests, "API rate limit exceeded", "too many tokens of this network were refused")
	f.by = refusedPerIP
	return visit{}, f
}

// leave takes the count back unless the token was refused for what it is.
func (to visit) leave(err error) {
	if to.networks != nil && !refusesToken(err) {
		to.networks.counters.Return(to.key, &to.networks.rule, to.now)
	}
}

// refusesToken tells whether a verifier's error is about the token, and not about a
// verifier that cannot say.
func refusesToken(err error) bool {
	for _, reason := range []error{
		carnet.ErrMalformed, carnet.ErrClaim, carnet.ErrUnknownKey, carnet.ErrAlgorithm, carnet.ErrSignature, carnet.ErrRevoked,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}
