package limit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is at most N events in each window of Per. The zero Rate is no limit.
type Rate struct {
	N   int
	Per time.Duration
}

// MaxN is the largest count of a [Rate].
const MaxN = 1_000_000_000

const none = "none"

var rateUnits = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// ParseRate reads "60/m": a count from 1 to [MaxN] in each second (s), minute
// (m) or hour (h). "none" is the zero Rate. It accepts what [Rate.String]
// prints, and no other spelling of it.
func ParseRate(s string) (Rate, error) {
	if s == none {
		return Rate{}, nil
	}
	count, unit, ok := strings.Cut(s, "/")
	per := rateUnits[unit]
	n, err := strconv.Atoi(count)
	if !ok || per == 0 || err != nil || n < 1 || n > MaxN || strconv.Itoa(n) != count {
		return Rate{}, fmt.Errorf(`rate %q: want a count from 1 to %d in each s, m or h, as in "60/m", or "none"`, s, MaxN)
	}
	return Rate{N: n, Per: per}, nil
}

// String is the form that [ParseRate] reads; a window that it has no unit for
// is printed as a duration.
func (r Rate) String() string {
	if r.unlimited() {
		return none
	}
	for unit, per := range rateUnits {
		if per == r.Per {
			return strconv.Itoa(r.N) + "/" + unit
		}
	}
	return strconv.Itoa(r.N) + "/" + r.Per.String()
}

// Quotas is r for [Counters], whose windows follow the clock; none if there is no
// [Period] of r's length.
func (r Rate) Quotas() (q Quotas) {
	for p := range NumPeriods {
		if !r.unlimited() && r.Per == time.Duration(p.Seconds())*time.Second {
			q[p] = r.N
		}
	}
	return q
}

func (r Rate) unlimited() bool { return r.N <= 0 || r.Per <= 0 }
