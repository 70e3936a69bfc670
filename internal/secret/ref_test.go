package secret

import (
	"slices"
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"srn:vault::acme:secret:API-Key":               "srn:vault::acme:secret:api-key",
		"srn:vault:global:acme:secret:x:3":             "srn:vault::acme:secret:x/3",
		"srn:vault::acme:certificate:x/12":             "srn:vault::acme:certificate:x/12",
		"srn:vault::acme:secretdoc:x":                  "srn:vault::acme:secretdoc:x",
		"srn:vault::acme:secretdoc:x#/password":        "srn:vault::acme:secretdoc:x#/password",
		"srn:vault::acme:secretdoc:X/1#/a~1b/~0c/ ö#/": "srn:vault::acme:secretdoc:x/1#/a~1b/~0c/ ö#/",
		"srn:vault::acme:secretdoc:x#/":                "srn:vault::acme:secretdoc:x#/",
	} {
		r, err := ParseRef(in)
		if err != nil || r.String() != want {
			t.Errorf("ParseRef(%q) = %q, %v, want %q", in, r, err, want)
		}
	}
}

func TestParseRefRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"no SRN":                {"hunter2", `starts with "srn:"`},
		"only begins like one":  {"srn:vault:hunter2", "an SRN is srn:service"},
		"other service":         {"srn:baas::acme:secret:x", "is not a secret's name: srn:vault::acme:secret:{name}"},
		"other region":          {"srn:vault:eu:acme:secret:x", "is not a secret's name"},
		"other type":            {"srn:vault::acme:apikey:x", "is not a secret's name"},
		"version that is none":  {"srn:vault::acme:secret:x/latest", "is a number"},
		"version 0":             {"srn:vault::acme:secret:x/0", "is a number"},
		"version 01":            {"srn:vault::acme:secret:x/01", "is a number"},
		"huge version":          {"srn:vault::acme:secret:x/1234567890123456789", "is a number"},
		"field of a secret":     {"srn:vault::acme:secret:x#/a", "has no fields"},
		"empty pointer":         {"srn:vault::acme:secretdoc:x#", "must be a JSON Pointer"},
		"pointer without slash": {"srn:vault::acme:secretdoc:x#a", "must be a JSON Pointer"},
		"unfinished escape":     {"srn:vault::acme:secretdoc:x#/a~", "must be a JSON Pointer"},
		"unknown escape":        {"srn:vault::acme:secretdoc:x#/a~2", "must be a JSON Pointer"},
		"line end":              {"srn:vault::acme:secretdoc:x#/a\n", "must be a JSON Pointer"},
		"no UTF-8":              {"srn:vault::acme:secretdoc:x#/\xff", "must be a JSON Pointer"},
		"long pointer":          {"srn:vault::acme:secretdoc:x#/" + strings.Repeat("a", maxPointer), "must be a JSON Pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ParseRef(tc.in)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("ParseRef() = %v, %v, want an error with %q", r, err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q repeats what may be a secret", err)
			}
		})
	}
}

func TestCheckRef(t *testing.T) {
	t.Parallel()
	slots := map[string]Slot{"text": ForText, "document": ForDocument, "certificate": ForCertificate}
	for ref, fits := range map[string][]string{
		"srn:vault::acme:secret:x":           {"text"},
		"srn:vault::acme:secret:x/2":         {"text"},
		"srn:vault::acme:secretdoc:x#/field": {"text"},
		"srn:vault::acme:secretdoc:x":        {"document"},
		"srn:vault::acme:certificate:x":      {"certificate"},
		"srn:vault::other:secret:x":          nil,
		"srn:vault::ACME:secret:x":           nil,
		"srn:baas::acme:secret:x":            nil,
		"x":                                  nil,
	} {
		for name, slot := range slots {
			err := CheckRef(ref, "acme", slot)
			if want := slices.Contains(fits, name); (err == nil) != want {
				t.Errorf("CheckRef(%q) for %s = %v, want it to fit: %v", ref, name, err, want)
			}
		}
	}
	for slot, want := range map[Slot]string{
		ForText:        "srn:vault::acme:secret:{name}, or srn:vault::acme:secretdoc:{name}#/{field}",
		ForDocument:    "srn:vault::acme:secretdoc:{name}",
		ForCertificate: "srn:vault::acme:certificate:{name}",
	} {
		wrong := map[Slot]string{ForText: "certificate", ForDocument: "secret", ForCertificate: "secretdoc"}[slot]
		err := CheckRef("srn:vault::acme:"+wrong+":x", "acme", slot)
		if err == nil || !strings.HasSuffix(err.Error(), "it must be "+want) {
			t.Errorf("CheckRef() = %v, want it to tell of %s", err, want)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for pointer, want := range map[string][]string{
		"": nil, "/": {""}, "/a": {"a"}, "/a/b": {"a", "b"}, "/a~1b": {"a/b"}, "/a~0b": {"a~b"}, "/~01": {"~1"}, "/a/": {"a", ""},
	} {
		if got := (Ref{Pointer: pointer}).Fields(); !slices.Equal(got, want) {
			t.Errorf("fields of %q are %q, want %q", pointer, got, want)
		}
	}
}

// Whatever parses has one canonical text, which parses to the same.
func FuzzParseRef(f *testing.F) {
	for _, seed := range []string{
		"srn:vault::o:secret:X/1", "srn:vault:global:o:secretdoc:x:2#/a~1b", "srn:vault::o:certificate:x", "srn:vault::o:secretdoc:x#", "#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			return
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Errorf("%q parses to %+v, its canonical text %q to %+v, %v", s, r, r, again, err)
		}
		if got := len(r.Fields()); got != strings.Count(r.Pointer, "/") {
			t.Errorf("%q has %d fields", r, got)
		}
	})
}
