package gateway

import (
	"strings"
	"testing"
)

func TestParseIssuer(t *testing.T) {
	t.Parallel()
	const ts = "1591600000000"
	for iss, want := range map[string]string{
		"mobilev2-abc-" + ts:                              "abc",
		"mobilev2-dev.sunbird.app-7b1c0d9e5f-" + ts:       "dev.sunbird.app-7b1c0d9e5f",
		"mobilev2-x-1591500000000-" + ts:                  "x-1591500000000",
		"mobilev2---" + ts:                                "-",
		"mobilev2-" + strings.Repeat("d", 128) + "-" + ts: "*",
		"mobilev2-a-" + strings.Repeat("9", 19):           "a",
		"mobilev2-a-" + strings.Repeat("9", 10):           "a",
		"desktop-a-" + ts:                                 "a",
		"mobilev2-" + strings.Repeat("d", 129) + "-" + ts: "",
		"mobilev2-a-" + strings.Repeat("9", 20):           "",
		"mobilev2-a-" + strings.Repeat("9", 9):            "",
		"":                                                "",
		"-":                                               "",
		"--" + ts:                                         "",
		"mobilev2":                                        "",
		"mobilev2-":                                       "",
		"mobilev2--":                                      "",
		"mobilev2--" + ts:                                 "",
		"mobilev2-" + ts:                                  "",
		"mobilev2-abc":                                    "",
		"mobilev2-abc-":                                   "",
		"mobilev2-abc-12x4567890":                         "",
		"mobilev2-abc-+1591600000000":                     "",
		"mobilev2-abc- 1591600000000":                     "",
		"mobilev2-abc-1.5916e12":                          "",
		"mobilev2-abc-١٥٩١٦٠٠٠٠٠":                         "",
		"mobilev2-a b-" + ts:                              "",
		"mobilev2-a\nb-" + ts:                             "",
		"mobilev2-a\x00b-" + ts:                           "",
		"mobilev2-é-" + ts:                                "",
		"Mobilev2-abc-" + ts:                              "",
		"mobilev2x-abc-" + ts:                             "",
		"mobilev-abc-" + ts:                               "",
		" mobilev2-abc-" + ts:                             "",
		"other-abc-" + ts:                                 "",
	} {
		t.Run(iss, func(t *testing.T) {
			t.Parallel()
			d, ok := parseIssuer(iss, []string{"desktop", "mobilev2"})
			if ok != (want != "") || ok && want != "*" && d.name != want {
				t.Errorf("parseIssuer(%q) = %+v, %v; want device %q", iss, d, ok, want)
			}
		})
	}
}

// What reads as a device can be put together again, and holds nothing that could
// break a header.
func FuzzParseIssuer(f *testing.F) {
	for _, s := range []string{"mobilev2-a-1591600000000", "mobilev2--", "mobilev2-a-b-0000000000", "mobilev2-\x7f-1591600000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, iss string) {
		d, ok := parseIssuer(iss, []string{"mobilev2"})
		if !ok {
			return
		}
		stamp := iss[strings.LastIndex(iss, "-")+1:]
		if d.prefix+"-"+d.name+"-"+stamp != iss || d.prefix != "mobilev2" {
			t.Fatalf("%q reads as %+v", iss, d)
		}
		if !visible(iss) || len(d.name) == 0 || len(d.name) > 128 || len(stamp) < 10 || len(stamp) > 19 {
			t.Fatalf("%q is not a device", iss)
		}
	})
}
