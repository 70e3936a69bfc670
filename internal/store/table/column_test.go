package table

import (
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"
)

// TestTimeColumns keeps a time as exactly as each kind of column does, and none as NULL.
func TestTimeColumns(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 12, 0, 0, 7_000_008, time.FixedZone("here", 3600))
	var (
		seconds second
		millis  Stamp
		nanos   instant
	)
	for name, tc := range map[string]struct {
		of    func(time.Time) driver.Valuer
		into  sql.Scanner
		got   func() time.Time
		exact time.Duration
	}{
		"second": {
			func(t time.Time) driver.Valuer { return second(t) }, &seconds,
			func() time.Time { return time.Time(seconds) }, time.Second,
		},
		"Stamp": {
			func(t time.Time) driver.Valuer { return Stamp(t) }, &millis,
			func() time.Time { return time.Time(millis) }, time.Millisecond,
		},
		"instant": {
			func(t time.Time) driver.Valuer { return instant(t) }, &nanos,
			func() time.Time { return time.Time(nanos) }, time.Nanosecond,
		},
	} {
		for _, want := range []time.Time{at.UTC().Truncate(tc.exact), {}} {
			v, err := tc.of(want).Value()
			if err != nil || (v == nil) != want.IsZero() {
				t.Errorf("%s: Value() of %v = %v, %v", name, want, v, err)
			}
			if err := tc.into.Scan(v); err != nil || tc.got() != want {
				t.Errorf("%s: Scan(%v) = %v, %v; want %v", name, v, tc.got(), err, want)
			}
		}
		if err := tc.into.Scan("noon"); err == nil {
			t.Errorf("%s: a text is taken for a time", name)
		}
	}
}
