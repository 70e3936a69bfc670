package jose

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		want string
		ok   bool
	}{
		"empty":                   {"", "", true},
		"one byte":                {"Zg", "f", true},
		"two bytes":               {"Zm8", "fo", true},
		"three bytes":             {"Zm9v", "foo", true},
		"many":                    {"Zm9vYmFyZm9vYmFy", "foobarfoobar", true},
		"url alphabet":            {"-_-_", "\xfb\xff\xbf", true},
		"standard plus":           {"+_-_", "", false},
		"standard slash":          {"-/-_", "", false},
		"padding of two":          {"Zg==", "", false},
		"padding of one":          {"Zm8=", "", false},
		"padding alone":           {"====", "", false},
		"stray bits of one byte":  {"Zh", "", false},
		"stray bits of two bytes": {"Zm9", "", false},
		"one character":           {"Z", "", false},
		"five characters":         {"Zm9vY", "", false},
		"line feed":               {"Zm9v\n", "", false},
		"line feed inside":        {"Zm\n9v", "", false},
		"carriage return":         {"Zm9v\r\n", "", false},
		"blank":                   {"Zm 9v", "", false},
		"tab":                     {"\tZm9v", "", false},
		"NUL":                     {"Zm9v\x00", "", false},
		"high byte":               {"Zm9\xff", "", false},
		"dot":                     {"Zm.v", "", false},
		"foreign third":           {"Zm%", "", false},
		"foreign second":          {"Z%", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Decode(tc.in)
			if ok != tc.ok || ok && string(got) != tc.want {
				t.Errorf("Decode(%q) = %q, %v, want %q, %v", tc.in, got, ok, tc.want, tc.ok)
			}
		})
	}
}

// TestDecodeOneSpelling tries each string of two and three characters over a telling
// part of all bytes: what decodes is what Encode writes.
func TestDecodeOneSpelling(t *testing.T) {
	t.Parallel()
	chars := "AQgw_-9zZ+/= \n\r\x00\xff"
	for _, a := range chars {
		for _, b := range chars {
			for _, c := range append([]rune(chars), -1) {
				in := string([]byte{byte(a), byte(b)})
				if c >= 0 {
					in += string([]byte{byte(c)})
				}
				if got, ok := Decode(in); ok && Encode(got) != in {
					t.Errorf("Decode(%q) = %x, which is spelled %q", in, got, Encode(got))
				}
			}
		}
	}
}

func TestAppendDecodedKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dst := []byte("before ")
	if got, ok := appendDecoded(dst, []byte("Zm9v")); !ok || string(got) != "before foo" {
		t.Errorf("appendDecoded() = %q, %v", got, ok)
	}
	if got, ok := appendDecoded(dst, []byte("Zm9v!")); ok || string(got) != "before " {
		t.Errorf("appendDecoded() = %q, %v after a refusal", got, ok)
	}
}

// FuzzDecode: we accept exactly what the strict standard decoder accepts, line breaks
// aside, and each byte string has one spelling.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "Zg", "Zm8", "Zm9v", "Zh", "Zm9", "Zg==", "Zm9v\n", "+/+/", "-_-_", "A"} {
		f.Add(seed)
	}
	strict := base64.RawURLEncoding.Strict()
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := Decode(in)
		want, err := strict.DecodeString(in)
		if accepts := err == nil && !strings.ContainsAny(in, "\r\n"); ok != accepts {
			t.Fatalf("Decode(%q) ok = %v, standard decoder %v", in, ok, err)
		}
		if !ok {
			return
		}
		if !bytes.Equal(got, want) {
			t.Errorf("Decode(%q) = %x, want %x", in, got, want)
		}
		if Encode(got) != in {
			t.Errorf("%q and %q are the same bytes", in, Encode(got))
		}
	})
}
