package secret

import (
	"strings"
	"testing"
)

func TestParseSRN(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 128)
	for in, want := range map[string]string{
		"srn:vault::default:secret:mobile-app":        "srn:vault::default:secret:mobile-app",
		"srn:vault:global:default:secret:Mobile-App":  "srn:vault::default:secret:mobile-app",
		"srn:vault::default:secret:x:3":               "srn:vault::default:secret:x/3",
		"srn:vault::default:secret:x/3":               "srn:vault::default:secret:x/3",
		"srn:vault:eu-west-1:Acme:secret:x":           "srn:vault:eu-west-1:Acme:secret:x",
		"srn:botnet::acme:bot:MyBot":                  "srn:botnet:global:acme:bot:MyBot",
		"srn:botnet::acme:endpoint:Acme-Bot":          "srn:botnet:global:acme:endpoint:acme-bot",
		"srn:baas::acme:api-connector:SecureSession":  "srn:baas:global:acme:api-connector:securesession",
		"srn:baas:eu:acme:flow:Pay":                   "srn:baas:eu:acme:flow:Pay",
		"srn:name::a_b:c$:" + long:                    "srn:name:global:a_b:c$:" + long,
		"srn:vault::default:secret:" + long + "/v1_2": "srn:vault::default:secret:" + long + "/v1_2",
	} {
		n, err := ParseSRN(in)
		if err != nil {
			t.Errorf("ParseSRN(%q) error = %v", in, err)
			continue
		}
		if got := n.String(); got != want {
			t.Errorf("ParseSRN(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseSRNRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty":               "",
		"literal":             "hunter2",
		"prefix alone":        "srn:",
		"prefix in capitals":  "SRN:vault::default:secret:x",
		"space before":        " srn:vault::default:secret:x",
		"space behind":        "srn:vault::default:secret:x ",
		"line end":            "srn:vault::default:secret:x\n",
		"no resource":         "srn:vault::default:secret",
		"empty resource":      "srn:vault::default:secret:",
		"empty service":       "srn:::default:secret:x",
		"empty organization":  "srn:vault:::secret:x",
		"empty type":          "srn:vault::default::x",
		"empty qualifier":     "srn:vault::default:secret:x/",
		"empty qualifier (:)": "srn:vault::default:secret:x:",
		"two qualifiers":      "srn:vault::default:secret:x/1/2",
		"mixed qualifiers":    "srn:vault::default:secret:x/1:2",
		"too many parts":      "srn:vault::default:secret:x:1:2",
		"dots":                "srn:vault::default:secret:..",
		"slash in type":       "srn:vault::default:sec/ret:x",
		"backslash":           `srn:vault::default:secret:a\b`,
		"percent":             "srn:vault::default:secret:a%2Fb",
		"field":               "srn:vault::default:secretdoc:x#/password",
		"not ASCII":           "srn:vault::default:secret:schlüssel",
		"NUL":                 "srn:vault::default:secret:x\x00",
		"long part":           "srn:vault::default:secret:" + strings.Repeat("x", 129),
		"long canonical":      "srn:x::" + strings.Repeat("x", 128) + ":" + strings.Repeat("x", 128) + ":" + strings.Repeat("x", 128) + "/" + strings.Repeat("x", 115),
		"thousand parts":      strings.Repeat("srn:", 1000),
		"long whole":          "srn:" + strings.Repeat("x", 128) + ":" + strings.Repeat("x", 128) + ":" + strings.Repeat("x", 128) + ":" + strings.Repeat("x", 128) + ":x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := ParseSRN(in)
			if err == nil {
				t.Fatalf("ParseSRN() = %v, want an error", n)
			}
			if len(in) > 4 && strings.Contains(err.Error(), in) {
				t.Errorf("error %q repeats the input", err)
			}
		})
	}
}

// Whatever parses has one canonical text, which parses to the same.
func FuzzParseSRN(f *testing.F) {
	for _, seed := range []string{"srn:vault::default:secret:X/1", "srn:botnet:eu:o:bot:B:2", "srn:vault:global:o:secret:x", "srn:::::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSRN(s)
		if err != nil {
			return
		}
		again, err := ParseSRN(n.String())
		if err != nil || again != n {
			t.Errorf("%q parses to %+v, its canonical text %q to %+v, %v", s, n, n, again, err)
		}
		if strings.ContainsAny(n.Organization+n.Resource, `./\`) {
			t.Errorf("%q could leave its directory", n)
		}
	})
}
