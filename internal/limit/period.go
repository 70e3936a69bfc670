package limit

import "time"

// Period is the length of a window of [Counters]. Windows follow the UTC clock and
// calendar: a minute starts with second 0, a month on its first day.
type Period uint8

// The periods, from the shortest to the longest.
const (
	Second Period = iota
	Minute
	Hour
	Day
	Month
	Year
	NumPeriods
)

var periods = [NumPeriods]struct {
	name    string
	seconds int64
}{
	{"second", 1},
	{"minute", 60},
	{"hour", 3600},
	{"day", 86400},
	{"month", 30 * 86400},
	{"year", 365 * 86400},
}

// String is the period's name in lower case.
func (p Period) String() string { return periods[p].name }

// Seconds is how long p lasts by name: a month 30 days, a year 365.
func (p Period) Seconds() int64 { return periods[p].seconds }

// span is the window of p that sec lies in, both in seconds of the Unix epoch.
func (p Period) span(sec int64) (start, end int64) {
	if p < Month {
		n := p.Seconds()
		return sec - sec%n, sec - sec%n + n
	}
	y, m, _ := time.Unix(sec, 0).UTC().Date()
	if p == Year {
		return firstDay(y, time.January), firstDay(y+1, time.January)
	}
	return firstDay(y, m), firstDay(y, m+1)
}

func firstDay(y int, m time.Month) int64 { return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix() }
