package limit

import (
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Rate{
		"60/m":         {60, time.Minute},
		"1/s":          {1, time.Second},
		"5000/h":       {5000, time.Hour},
		"1000000000/h": {MaxN, time.Hour},
		"none":         {},
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := ParseRate(in)
			if err != nil || got != want {
				t.Errorf("ParseRate() = %v, %v, want %v", got, err, want)
			}
			if got.String() != in {
				t.Errorf("String() = %q, want %q", got, in)
			}
		})
	}
}

func TestParseRateRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "60", "/m", "60/", "60/d", "60/M", "60/m ", " 60/m", "0/m", "-1/m", "+1/m", "01/m",
		"6e1/m", "1.5/s", "1000000001/h", "99999999999999999999/s", "60/m/m", "60/1m", "NONE", "unlimited",
	} {
		if got, err := ParseRate(in); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", in, got)
		}
	}
}

func TestStringOfAnOddWindow(t *testing.T) {
	t.Parallel()
	if got := (Rate{3, 90 * time.Second}).String(); got != "3/1m30s" {
		t.Errorf("String() = %q", got)
	}
}

func TestQuotasOfARate(t *testing.T) {
	t.Parallel()
	for rate, want := range map[Rate]Quotas{
		{5, time.Second}: {Second: 5}, {600, time.Minute}: {Minute: 600}, {7, time.Hour}: {Hour: 7},
		{}: {}, {0, time.Minute}: {}, {3, 90 * time.Second}: {},
	} {
		if got := rate.Quotas(); got != want {
			t.Errorf("%v.Quotas() = %v, want %v", rate, got, want)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"60/m", "none", "0/s", "1/h", "+1/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRate(s); err == nil && r.String() != s {
			t.Errorf("ParseRate(%q) prints as %q", s, r)
		}
	})
}
