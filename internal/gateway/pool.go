package gateway

import (
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// The algorithms of an upstream, by Kong's names.
const (
	roundRobin       = "round-robin"
	leastConnections = "least-connections"
)

// The defaults of an upstream.
const (
	defaultWeight  = 100
	defaultPort    = "8000" // Kong's
	defaultRetries = 5
	maxFails       = 3
	failTimeout    = 10 * time.Second
)

// address is host:port.
func (t *Target) address() string {
	if _, port := splitPort(t.Target); port == "" {
		return t.Target + ":" + defaultPort
	}
	return t.Target
}

func (t *Target) weight() int {
	if t.Weight == nil {
		return defaultWeight
	}
	return *t.Weight
}

// pool is the targets that share the requests of a service. Safe for concurrent use.
type pool struct {
	members  []member
	turns    []uint16 // members by their index, each as often as its weight says; nil with least connections
	next     atomic.Uint32
	maxFails int32
	rest     time.Duration
}

// member is a target with its share.
type member struct {
	*target
	weight int64
}

// target is one server, and how it has been doing. It outlives a reload.
type target struct {
	host  string
	open  atomic.Int64 // requests that are there now
	fails atomic.Int32 // in a row
	until atomic.Int64 // in Unix nanoseconds: out till then; 0: in
}

// single is the pool of a service whose URL names a server itself.
func single(u *url.URL) *pool {
	return &pool{members: []member{{&target{host: u.Host}, 1}}, maxFails: maxFails, rest: failTimeout}
}

// newPool makes the pool of u. A target that last has, too, stays the same.
func newPool(u *Upstream, last *pool) *pool {
	p := &pool{maxFails: maxFails, rest: failTimeout}
	if u.MaxFails > 0 {
		p.maxFails = int32(min(u.MaxFails, 1<<30))
	}
	if u.FailTimeout > 0 {
		p.rest = u.FailTimeout
	}
	for i := range u.Targets {
		t := &u.Targets[i]
		if w := t.weight(); w > 0 {
			p.members = append(p.members, member{last.target(t.address()), int64(w)})
		}
	}
	if u.Algorithm != leastConnections {
		p.turns = turns(p.members)
	}
	return p
}

// upstreams are the pools of list by name.
func upstreams(list []Upstream, last *table) map[string]*pool {
	pools := map[string]*pool{}
	for i := range list {
		var old *pool
		if last != nil {
			old = last.upstreams[list[i].Name]
		}
		pools[list[i].Name] = newPool(&list[i], old)
	}
	return pools
}

// target returns the target at host, a new one if p, which may be nil, has none.
func (p *pool) target(host string) *target {
	if p != nil {
		if i := slices.IndexFunc(p.members, func(m member) bool { return m.host == host }); i >= 0 {
			return p.members[i].target
		}
	}
	return &target{host: host}
}

// maxTurns bounds the memory of a round; weights beyond it are rounded.
const maxTurns = 1024

// turns is one round: each member as often as its weight says, spread evenly (the
// smooth weighted round robin that nginx has).
func turns(members []member) []uint16 {
	shares := make([]int64, len(members))
	var total, common int64
	for i, m := range members {
		common = divisor(common, m.weight)
		total += m.weight
		shares[i] = m.weight
	}
	common = max(common, (total+maxTurns-1)/maxTurns)
	total = 0
	for i := range shares {
		shares[i] = max(1, shares[i]/common)
		total += shares[i]
	}
	round := make([]uint16, 0, total)
	credit := make([]int64, len(members))
	for range total {
		best := 0
		for i, share := range shares {
			credit[i] += share
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		round = append(round, uint16(best))
	}
	return round
}

// divisor is the greatest common one.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// pick returns the target for a request: one that is in if there is one, else any;
// never one of tried; nil if none is left.
func (p *pool) pick(now time.Time, tried []*target) *target {
	if len(p.members) == 1 && len(tried) == 0 {
		return p.members[0].target
	}
	at := p.next.Add(1)
	if t := p.search(at, func(t *target) bool { return t.in(now) && !slices.Contains(tried, t) }); t != nil {
		return t
	}
	return p.search(at, func(t *target) bool { return !slices.Contains(tried, t) })
}

// search returns the best target that is fit, from the at-th on.
func (p *pool) search(at uint32, fit func(*target) bool) *target {
	if p.turns != nil {
		for i := range uint32(len(p.turns)) {
			if t := p.members[p.turns[(at+i)%uint32(len(p.turns))]].target; fit(t) {
				return t
			}
		}
		return nil
	}
	var best *member
	for i := range uint32(len(p.members)) {
		m := &p.members[(at+i)%uint32(len(p.members))]
		if fit(m.target) && (best == nil || m.open.Load()*best.weight < best.open.Load()*m.weight) {
			best = m
		}
	}
	if best == nil {
		return nil
	}
	return best.target
}

func (t *target) in(now time.Time) bool {
	until := t.until.Load()
	return until == 0 || now.UnixNano() >= until
}

// answered notes that t is well.
func (t *target) answered() {
	if t.fails.Load() != 0 {
		t.fails.Store(0)
		t.until.Store(0)
	}
}

// failed notes that t was not. From maxFails times in a row on, each puts t out for a rest.
func (p *pool) failed(t *target, now time.Time) {
	if t.fails.Add(1) >= p.maxFails {
		t.until.Store(now.Add(p.rest).UnixNano())
	}
}
