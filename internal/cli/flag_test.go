package cli

import (
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// TestReaders: what flags take, and what is said of what they do not.
func TestReaders(t *testing.T) {
	t.Parallel()
	const (
		moment  = ": must be a time such as 2026-06-01T12:00:00Z, or a date such as 2026-06-01, not "
		length  = ": must be a duration such as 30d or 12h, not "
		network = ": must be a network such as 10.0.0.0/8, or 10.1.2.3/32 for one address, not "
	)
	for arg, want := range map[string]string{
		"--at=2028-01-31":                "2028-01-31 00:00:00 +0000 UTC 24h0m0s []",
		"--at=2028-01-31T01:00:00+02:00": "2028-01-30 23:00:00 +0000 UTC 24h0m0s []",
		"--at=2028-02-31":                "--at" + moment + `"2028-02-31"`,
		"--at=31.1.2028":                 "--at" + moment + `"31.1.2028"`,
		"--at=":                          "--at" + moment + `""`,
		"--for=90m":                      "0001-01-01 00:00:00 +0000 UTC 1h30m0s []",
		"--for=30d":                      "0001-01-01 00:00:00 +0000 UTC 720h0m0s []",
		"--for=-1h":                      "0001-01-01 00:00:00 +0000 UTC -1h0m0s []",
		"--for=1y":                       "--for" + length + `"1y"`,
		"--for=30":                       "--for" + length + `"30"`,
		"--in=10.0.0.0/8,2001:db8::/32":  "0001-01-01 00:00:00 +0000 UTC 24h0m0s [10.0.0.0/8 2001:db8::/32]",
		"--in=":                          "0001-01-01 00:00:00 +0000 UTC 24h0m0s []",
		"--in=10.0.0.0/8,10.0.0.0/33":    "--in" + network + `"10.0.0.0/33"`,
		"--in=10.0.0.1":                  "--in" + network + `"10.0.0.1"`,
		"--in=\x1b[2J":                   "--in" + network + `"\x1b[2J"`,
	} {
		var flags struct {
			At  time.Time
			For time.Duration `default:"24h"`
			In  *[]netip.Prefix
		}
		parser, err := kong.New(&flags, append(readers(), kong.Writers(io.Discard, io.Discard))...)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := parser.Parse([]string{arg}); err != nil {
			got = err.Error()
		} else {
			var in []netip.Prefix
			set(&in, flags.In)
			got = fmt.Sprintf("%v %v %v", flags.At.UTC(), flags.For, in)
		}
		if got != want {
			t.Errorf("%q is read as %s\nwant %s", arg, got, want)
		}
	}
}
