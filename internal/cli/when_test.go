package cli

import (
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestWhen(t *testing.T) {
	t.Parallel()
	const wrong = "wrong"
	for text, want := range map[string]struct{ ago, ahead string }{
		"2026-06-01T10:00:00Z":          {"2026-06-01T10:00:00Z", "2026-06-01T10:00:00Z"},
		"2026-06-01T12:00:00.25+02:00":  {"2026-06-01T10:00:00.25Z", "2026-06-01T10:00:00.25Z"},
		"90m":                           {"2026-06-01T10:30:00Z", "2026-06-01T13:30:00Z"},
		"1ms":                           {"2026-06-01T11:59:59.999Z", "2026-06-01T12:00:00.001Z"},
		"0s":                            {"2026-06-01T12:00:00Z", wrong},
		"never":                         {wrong, "never"},
		"-1h":                           {wrong, wrong},
		"yesterday":                     {wrong, wrong},
		"2026-06-01":                    {"2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"},
		"2d":                            {"2026-05-30T12:00:00Z", "2026-06-03T12:00:00Z"},
		"-2d":                           {wrong, wrong},
		"2026-06-31":                    {wrong, wrong},
		"2026-06-01 10:00:00":           {wrong, wrong},
		"":                              {wrong, wrong},
		"2026-06-01T10:00:00Z and more": {wrong, wrong},
	} {
		show := func(at time.Time, never bool, err error) string {
			switch {
			case fault.KindOf(err) == fault.Invalid:
				return wrong
			case err != nil:
				return err.Error()
			case never:
				return "never"
			}
			return instant(at)
		}
		at, err := ago(text, noon)
		if got := show(at, false, err); got != want.ago {
			t.Errorf("ago(%q) = %s, want %s", text, got, want.ago)
		}
		if got := show(ahead(text, noon)); got != want.ahead {
			t.Errorf("ahead(%q) = %s, want %s", text, got, want.ahead)
		}
	}
}

// FuzzWhen: what is read is written in a form that is read as the same.
func FuzzWhen(f *testing.F) {
	for _, seed := range []string{"1h", "never", "2026-06-01T10:00:00.123Z", "0", "-5m", "2026-06-01T24:00:00Z", "2026-06-01", "7d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ago(text, noon)
		if err != nil {
			return
		}
		at = at.Truncate(time.Millisecond)
		if at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return // a zone has moved it out of what RFC 3339 writes
		}
		if at.IsZero() {
			return
		}
		again, err := ago(instant(at), noon)
		if err != nil || !again.Equal(at) {
			t.Errorf("%q is %v, written %s, read as %v: %v", text, at, instant(at), again, err)
		}
	})
}
