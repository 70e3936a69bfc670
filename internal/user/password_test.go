package user

import (
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/secret"
)

var cheap = Cost{Memory: 8, Passes: 1, Threads: 1}

const phc = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" +
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestHashMatches(t *testing.T) {
	t.Parallel()
	p := secret.FromString("correct horse")
	h := newHash(cheap, p)
	stored, err := parseHash(h.String())
	if err != nil {
		t.Fatal(err)
	}
	if !stored.matches(p) {
		t.Error("the password does not match its own hash")
	}
	if stored.matches(secret.FromString("correct horsf")) || stored.matches(secret.Bytes{}) {
		t.Error("another password matches")
	}
	if newHash(cheap, p).String() == h.String() {
		t.Error("two hashes of a password share their salt")
	}
}

// TestReferenceHash checks a string that the reference implementation printed
// (phc-winner-argon2, test.c: "password", "somesalt", t=2, m=2^16, p=1).
func TestReferenceHash(t *testing.T) {
	t.Parallel()
	h, err := parseHash("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	if !h.matches(secret.FromString("password")) {
		t.Error("the reference hash does not match its password")
	}
}

func TestParseHash(t *testing.T) {
	t.Parallel()
	h, err := parseHash(phc)
	if err != nil {
		t.Fatal(err)
	}
	if h.Cost != DefaultCost || string(h.salt) != "somesaltsomesalt" || len(h.digest) != 32 {
		t.Errorf("parseHash() = %+v", h)
	}
}

func TestParseHashRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ old, now string }{
		"empty":                {phc, ""},
		"plain password":       {phc, "hunter2hunter2"},
		"argon2i":              {"argon2id", "argon2i"},
		"bcrypt":               {"argon2id", "2b"},
		"text before":          {"$argon2id", "x$argon2id"},
		"part too many":        {phc, phc + "$"},
		"part missing":         {"$c29tZXNhbHRzb21lc2FsdA", ""},
		"older version":        {"v=19", "v=16"},
		"no version":           {"v=19$", ""},
		"sign":                 {"m=19456", "m=+19456"},
		"leading zero":         {"m=19456", "m=019456"},
		"hexadecimal":          {"m=19456", "m=0x4c00"},
		"blank":                {"m=19456", "m= 19456"},
		"other order":          {"m=19456,t=2", "t=2,m=19456"},
		"parameter missing":    {",p=1", ""},
		"parameter too many":   {",p=1", ",p=1,keyid=1"},
		"too much memory":      {"m=19456", "m=262145"},
		"overflowing memory":   {"m=19456", "m=4294967297"},
		"too little memory":    {"m=19456", "m=7"},
		"no passes":            {"t=2", "t=0"},
		"too many passes":      {"t=2", "t=17"},
		"no threads":           {"p=1", "p=0"},
		"too many threads":     {"p=1", "p=17"},
		"threads beyond uint8": {"p=1", "p=257"},
		"short salt":           {"c29tZXNhbHRzb21lc2FsdA", "c2FsdA"},
		"long salt":            {"c29tZXNhbHRzb21lc2FsdA", strings.Repeat("AAAA", 22)},
		"padding":              {"c2FsdA$", "c2FsdA==$"},
		"stray bits":           {"c2FsdA$", "c2FsdB$"},
		"url alphabet":         {"c29t", "c2_-"},
		"line end":             {"c29t", "c29t\n"},
		"short digest":         {"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$AAAA"},
		"no digest":            {"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$"},
	} {
		text := strings.Replace(phc, tc.old, tc.now, 1)
		if text == phc {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if h, err := parseHash(text); err == nil {
			t.Errorf("%s: parseHash() = %+v, want an error", name, h)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows what is stored", name)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(phc)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err != nil {
			return
		}
		if h.String() != s {
			t.Errorf("parseHash(%q) prints as %q", s, h)
		}
		if !h.valid() {
			t.Errorf("parseHash(%q) takes a cost out of bounds", s)
		}
	})
}
