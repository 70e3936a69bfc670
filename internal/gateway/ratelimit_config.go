package gateway

import (
	"net/http"
	"slices"
	"strings"

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

	Policy        string `yaml:"policy"`         // where to count; local
	FaultTolerant *bool  `yaml:"fault_tolerant"` // let requests pass that cannot be counted; true

	Headers           string `yaml:"headers"` // kong, ietf or both; kong
	HideClientHeaders bool   `yaml:"hide_client_headers"`
	ErrorCode         int    `yaml:"error_code"`    // 429
	ErrorMessage      string `yaml:"error_message"` // API rate limit exceeded
}

// What policy and window may be.
const (
	policyLocal   = "local"
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

func (v *validator) rateLimiting(at string, p *RateLimiting) {
	v.quotas(at, p)
	v.oneOf(at+".limit_by", p.LimitBy, limitBy)
	v.oneOf(at+".window", p.Window, []string{windowFixed, windowSliding})
	v.oneOf(at+".headers", p.Headers, headerFamilies)
	if p.Policy != "" && p.Policy != policyLocal {
		v.bad(at+".policy", "%q: expected one of: %s; counters that nodes share are not offered yet", p.Policy, policyLocal)
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
