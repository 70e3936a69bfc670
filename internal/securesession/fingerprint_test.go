package securesession

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/carnetproject/carnet/internal/secret"
)

var testKey = secret.FromString("0123456789abcdef0123456789abcdef")

func TestFingerprint(t *testing.T) {
	t.Parallel()
	one := func(value string) Inputs { return Inputs{"a": json.RawMessage(value)} }
	distinct := map[string]Inputs{
		"none":                {},
		"missing":             {"a": nil},
		"null":                one(`null`),
		"number":              one(`1`),
		"string":              one(`"1"`),
		"true":                one(`true`),
		"empty string":        one(`""`),
		"empty list":          one(`[]`),
		"empty object":        one(`{}`),
		"object":              one(`{"x":1,"y":2}`),
		"object, swapped":     one(`{"x":2,"y":1}`),
		"list":                one(`[1,2]`),
		"list, swapped":       one(`[2,1]`),
		"large number":        one(`9007199254740993`),
		"large number's next": one(`9007199254740992`),
		"no JSON":             one(`{`),
		"two values":          one(`1 2`),
		"another name":        {"b": json.RawMessage(`1`)},
		"two names":           {"a": json.RawMessage(`1`), "b": json.RawMessage(`1`)},
		"a name that is both": {"a\x011b": json.RawMessage(`1`)},
		"one of two missing":  {"a": json.RawMessage(`1`), "b": nil},
		"the other missing":   {"a": nil, "b": json.RawMessage(`1`)},
	}
	seen := map[[32]byte]string{}
	for name, in := range distinct {
		print := fingerprint(testKey, "ann", in)
		if other, ok := seen[print]; ok {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		seen[print] = name
		if print != fingerprint(testKey, "ann", in) {
			t.Errorf("%s has two fingerprints", name)
		}
		if print == fingerprint(testKey, "bob", in) {
			t.Errorf("%s: the fingerprint is everybody's", name)
		}
		if print == fingerprint(secret.FromString("another key"), "ann", in) {
			t.Errorf("%s: the fingerprint needs no key", name)
		}
	}
	if fingerprint(testKey, "ann", one(` { "y" : 2 , "x" : 1 } `)) != fingerprint(testKey, "ann", distinct["object"]) {
		t.Error("white space or order makes a difference")
	}
	if fingerprint(testKey, "ann", one(`"\u0031"`)) != fingerprint(testKey, "ann", distinct["string"]) {
		t.Error("escapes make a difference")
	}
}

// FuzzFingerprint: two values have one fingerprint exactly if they are the same JSON.
func FuzzFingerprint(f *testing.F) {
	for _, pair := range [][2]string{{`1`, `"1"`}, {`{"a":1,"b":[null]}`, ` {"b":[null],"a":1}`}, {`1.0`, `1`}, {`{`, `{ `}} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) == 0 || len(b) == 0 {
			return
		}
		same := fingerprint(testKey, "ann", Inputs{"v": a}) == fingerprint(testKey, "ann", Inputs{"v": b})
		ca, errA := canonical(a)
		cb, errB := canonical(b)
		want := errA == nil && errB == nil && bytes.Equal(ca, cb) || errA != nil && errB != nil && bytes.Equal(a, b)
		if same != want {
			t.Fatalf("%q and %q: same fingerprint %t, want %t", a, b, same, want)
		}
		if errA != nil {
			return
		}
		again, err := canonical(ca)
		if err != nil || !bytes.Equal(again, ca) {
			t.Fatalf("%q is %q, and that %q (%v)", a, ca, again, err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, a, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		if fingerprint(testKey, "ann", Inputs{"v": indented.Bytes()}) != fingerprint(testKey, "ann", Inputs{"v": a}) {
			t.Fatalf("%q: white space makes a difference", a)
		}
	})
}
