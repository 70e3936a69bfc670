package cli

import (
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// ago is the flag --before: a time, or a duration before now.
func ago(text string, now time.Time) (time.Time, error) { return since("--before", text, now) }

// since is a flag that is a time, or a duration before now.
func since(flag, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fault.Newf(fault.Invalid, "%s must be a time such as 2026-06-01T12:00:00Z, or a duration such as 1h: that long ago", flag)
	}
	return t, nil
}

// ahead is a time, or a duration after now, or never.
func ahead(text string, now time.Time) (t time.Time, never bool, err error) {
	if text == "never" {
		return time.Time{}, true, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), false, nil
	}
	if t, err = time.Parse(time.RFC3339, text); err != nil {
		return time.Time{}, false, fault.New(fault.Invalid, "--expires must be a time such as 2026-06-01T12:00:00Z, a duration such as 1h, or never")
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
