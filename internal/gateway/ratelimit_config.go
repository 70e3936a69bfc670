package gateway

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// RateLimiting counts requests and refuses those over a limit. At least one limit is
// set, and no longer period has a lower one than a shorter.
type RateLimiting struct {
	Second *int `yaml:"second"`
	Minute *int `yaml:"minute"`
	Hour   *int `yaml:"hour"`
	Day    *int `yaml:"day"`
	Month  *int `yaml:"month"`
	Year   *int `yaml:"year"`

	LimitBy    string `yaml:"limit_by"`    // whom to count; consumer
	HeaderName string `yaml:"header_name"` // for limit_by: header
	Path       string `yaml:"path"`        // for limit_by: path
	Window     string `yaml:"window"`      // fixed or sliding; fixed

	Policy        string  `yaml:"policy"`         // where to count; local
	SyncRate      float64 `yaml:"sync_rate"`      // seconds between nodes telling one another; -1: with each request
	FaultTolerant *bool   `yaml:"fault_tolerant"` // while nodes cannot count together, let each count by itself; true

	Headers           string `yaml:"headers"` // kong, ietf or both; kong
	HideClientHeaders bool   `yaml:"hide_client_headers"`
	ErrorCode         int    `yaml:"error_code"`    // 429
	ErrorMessage      string `yaml:"error_message"` // API rate limit exceeded
}

// What policy and window may be. In Kong, policyCluster counts in the database; here it
// is another name of policyRedis.
const (
	policyLocal   = "local"
	policyCluster = "cluster"
	policyRedis   = "redis"
	windowFixed   = "fixed"
	windowSliding = "sliding"
)

// perPeriod are the members second to year.
func (p *RateLimiting) perPeriod() [limit.NumPeriods]*int {
	return [...]*int{p.Second, p.Minute, p.Hour, p.Day, p.Month, p.Year}
}

func (p *RateLimiting) quotas() (q limit.Quotas) {
	for i, n := range p.perPeriod() {
		if n != nil {
			q[i] = *n
		}
	}
	return q
}

func (p *RateLimiting) rule() limit.Rule {
	return limit.Rule{Quotas: p.quotas(), Sliding: p.Window == windowSliding}
}

// The bounds of sync_rate in seconds; Kong has the lower one, too.
const (
	minSyncRate = 0.02
	maxSyncRate = 3600
)

// shares tells whether p counts with other nodes.
func (p *RateLimiting) shares() bool { return p.Policy == policyCluster || p.Policy == policyRedis }

// every is how often nodes tell one another; 0: with each request.
func (p *RateLimiting) every() time.Duration {
	return time.Duration(max(p.SyncRate, 0) * float64(time.Second))
}

func (v *validator) rateLimiting(at string, p *RateLimiting) {
	v.quotas(at, p)
	v.oneOf(at+".limit_by", p.LimitBy, limitBy)
	v.oneOf(at+".window", p.Window, []string{windowFixed, windowSliding})
	v.oneOf(at+".headers", p.Headers, headerFamilies)
	v.oneOf(at+".policy", p.Policy, []string{policyLocal, policyCluster, policyRedis})
	if p.shares() {
		v.sharing = append(v.sharing, at+".policy")
	}
	switch {
	case p.SyncRate == 0 || p.SyncRate == -1:
	case !p.shares():
		v.bad(at+".sync_rate", "sync_rate can only be used with the %s policy", policyRedis)
	case !(p.SyncRate >= minSyncRate && p.SyncRate <= maxSyncRate): // also what is no number
		v.bad(at+".sync_rate", "write seconds from %g to %d, or -1 to count together with each request", minSyncRate, maxSyncRate)
	}
	if (p.LimitBy == perHeader) != (p.HeaderName != "") {
		v.bad(at+".header_name", "name a header if, and only if, limit_by is header")
	} else if p.HeaderName != "" && !validHeader(p.HeaderName) {
		v.bad(at+".header_name", "%q is not the name of a header", p.HeaderName)
	}
	if (p.LimitBy == perPath) != (p.Path != "") {
		v.bad(at+".path", "name a path if, and only if, limit_by is path")
	} else if normal, err := normalPath(p.Path); p.Path != "" && (err != nil || normal != p.Path) {
		v.bad(at+".path", `%q must start with "/" and be in normal form: no dot segments, no "//", no needless escapes`, p.Path)
	}
	if p.ErrorCode != 0 && http.StatusText(p.ErrorCode) == "" || p.ErrorCode != 0 && p.ErrorCode < http.StatusBadRequest {
		v.bad(at+".error_code", "write a status of 400 to 599")
	}
}

// quotas requires at least one limit, and that none is without effect. The messages
// are Kong's.
func (v *validator) quotas(at string, p *RateLimiting) {
	var shorter []limit.Period
	all := p.perPeriod()
	for i, n := range all {
		period := limit.Period(i)
		switch {
		case n == nil:
			continue
		case *n < 1:
			v.bad(at+"."+period.String(), "value must be greater than 0")
			continue
		case *n > limit.MaxN:
			v.bad(at+"."+period.String(), "value must be at most %d", limit.MaxN)
			continue
		}
		for _, s := range shorter {
			if *n < *all[s] {
				v.bad(at+"."+period.String(), "The limit for %s(%d.0) cannot be lower than the limit for %s(%d.0)", period, *n, s, *all[s])
			}
		}
		shorter = append(shorter, period)
	}
	if p.perPeriod() == ([limit.NumPeriods]*int{}) {
		v.bad(at, "set at least one of second, minute, hour, day, month and year")
	}
}

func (v *validator) oneOf(at, value string, allowed []string) {
	if value != "" && !slices.Contains(allowed, value) {
		v.bad(at, "%q: expected one of: %s", value, strings.Join(allowed, ", "))
	}
}
