package cli

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// at reads a time, or a date: its first moment in UTC.
func at(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

// span reads a duration, which may be in days.
func span(text string) (time.Duration, error) {
	const day, most = 24 * time.Hour, uint64(math.MaxInt64 / (24 * time.Hour))
	if digits, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil && n <= most {
			return time.Duration(n) * day, nil
		}
	}
	return time.ParseDuration(text)
}

// ago is the flag --before: a time, or a duration before now.
func ago(text string, now time.Time) (time.Time, error) { return since("--before", text, now) }

// since is a flag that is a time, or a duration before now.
func since(flag, text string, now time.Time) (time.Time, error) {
	if d, err := span(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := at(text)
	if err != nil {
		return time.Time{}, fault.Newf(fault.Invalid, "%s must be a time such as 2026-06-01T12:00:00Z, a date such as 2026-06-01, or a duration such as 1h: that long ago", flag)
	}
	return t, nil
}

// ahead is a time, or a duration after now, or never.
func ahead(text string, now time.Time) (t time.Time, never bool, err error) {
	if text == "never" {
		return time.Time{}, true, nil
	}
	if d, err := span(text); err == nil && d > 0 {
		return now.Add(d), false, nil
	}
	if t, err = at(text); err != nil {
		return time.Time{}, false, fault.New(fault.Invalid, "--expires must be a time such as 2026-06-01T12:00:00Z, a date such as 2026-06-01, a duration such as 1h, or never")
	}
	return t, false, nil
}

// instant is t to the millisecond, if it has any.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.999Z07:00")
}
