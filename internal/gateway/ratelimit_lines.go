package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// What headers may be: Kong's, those of draft-ietf-httpapi-ratelimit-headers-11, or both.
const (
	kongHeaders = "kong"
	ietfHeaders = "ietf"
	bothHeaders = "both"
)

var headerFamilies = []string{kongHeaders, ietfHeaders, bothHeaders}

// The names of the lines, in canonical form.
var (
	lineLimit      = http.CanonicalHeaderKey("RateLimit-Limit")
	lineRemaining  = http.CanonicalHeaderKey("RateLimit-Remaining")
	lineReset      = http.CanonicalHeaderKey("RateLimit-Reset")
	linePolicy     = http.CanonicalHeaderKey("RateLimit-Policy")
	lineRateLimit  = http.CanonicalHeaderKey("RateLimit")
	lineRetryAfter = http.CanonicalHeaderKey("Retry-After")
	lineOfPeriod   = func() (names [limit.NumPeriods]struct{ limit, remaining string }) {
		for p := range limit.NumPeriods {
			names[p].limit = http.CanonicalHeaderKey("X-RateLimit-Limit-" + p.String())
			names[p].remaining = http.CanonicalHeaderKey("X-RateLimit-Remaining-" + p.String())
		}
		return names
	}()
)

// quotaLines are the headers that tell a client where it stands.
type quotaLines struct {
	kong   bool
	old    bool                     // of Kong's only those that 0.14 has, and no Retry-After
	limits [limit.NumPeriods]string // "" for none
	policy string                   // of the draft's header RateLimit-Policy; "" for none of the draft's
}

func newQuotaLines(p *RateLimiting, old bool) *quotaLines {
	family := cmp.Or(p.Headers, kongHeaders)
	q := &quotaLines{kong: family != ietfHeaders, old: old}
	var policy []byte
	for i, n := range p.quotas() {
		if n > 0 {
			q.limits[i] = strconv.Itoa(n)
			policy = item(policy, limit.Period(i))
			policy = append(append(policy, ";q="...), q.limits[i]...)
			policy = strconv.AppendInt(append(policy, ";w="...), limit.Period(i).Seconds(), 10)
		}
	}
	if family != kongHeaders {
		q.policy = string(policy)
	}
	return q
}

// add tells r's client about u; to one that is refused, when to try again.
func (q *quotaLines) add(r *request, u *limit.Usage) {
	most := tightest(u)
	reset := seconds(u.Windows[most].Reset)
	r.answers = slices.Grow(r.answers, 2*len(q.limits))
	if q.kong {
		for p, n := range q.limits {
			if n != "" {
				r.answer(lineOfPeriod[p].limit, n)
				r.answer(lineOfPeriod[p].remaining, strconv.Itoa(u.Windows[p].Remaining))
			}
		}
	}
	if q.kong && !q.old {
		r.answer(lineLimit, q.limits[most])
		r.answer(lineRemaining, strconv.Itoa(u.Windows[most].Remaining))
		r.answer(lineReset, reset)
	}
	if q.policy != "" {
		r.answer(linePolicy, q.policy)
		r.answer(lineRateLimit, left(u))
	}
	if !u.OK && !q.old {
		r.answer(lineRetryAfter, reset)
	}
}

// left is the draft's header RateLimit: a list of structured items (RFC 9651 §3.1),
// one for each period.
func left(u *limit.Usage) string {
	var b []byte
	for p, w := range u.Windows {
		if w.Limit > 0 {
			b = item(b, limit.Period(p))
			b = strconv.AppendInt(append(b, ";r="...), int64(w.Remaining), 10)
			b = append(append(b, ";t="...), seconds(w.Reset)...)
		}
	}
	return string(b)
}

// item begins the item of a period in a list.
func item(list []byte, p limit.Period) []byte {
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	return strconv.AppendQuote(list, p.String())
}

// seconds is d in whole seconds, rounded up, and at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(int64((d+time.Second-1)/time.Second), 1), 10)
}
