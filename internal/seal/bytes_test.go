package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/seal"
)

func TestBytesRoundTrip(t *testing.T) {
	t.Parallel()
	box := newBox(t, 1)
	for name, tc := range map[string]struct {
		purpose string
		plain   []byte
	}{
		"text":            {"credential:k", []byte("a secret")},
		"nothing":         {"credential:k", []byte{}},
		"largest":         {"credential:k", bytes.Repeat([]byte{0xff}, seal.MaxPlain)},
		"any purpose":     {"\xff 店\n", []byte("x")},
		"long purpose":    {strings.Repeat("k", 5000), []byte("x")},
		"shortest":        {"k", []byte{0}},
		"like the header": {"\x01", []byte{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed, err := box.SealBytes(tc.purpose, tc.plain)
			if err != nil {
				t.Fatal(err)
			}
			if len(sealed) != len(tc.plain)+seal.Overhead || seal.Overhead != 29 {
				t.Errorf("%d bytes are sealed in %d", len(tc.plain), len(sealed))
			}
			plain, err := newBox(t, 1).OpenBytes(tc.purpose, sealed)
			if err != nil || !bytes.Equal(plain, tc.plain) {
				t.Errorf("OpenBytes() = %d bytes, %v; want the %d sealed", len(plain), err, len(tc.plain))
			}
			again, err := box.SealBytes(tc.purpose, tc.plain)
			if err != nil || bytes.Equal(again, sealed) {
				t.Errorf("sealing twice gives the same value, or %v", err)
			}
		})
	}
}

func TestBytesDoNotOpen(t *testing.T) {
	t.Parallel()
	box := newBox(t, 1)
	sealed, err := box.SealBytes("credential:k", []byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		for bit := range 8 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1 << bit
			if _, err := box.OpenBytes("credential:k", damaged); !errors.Is(err, seal.ErrOpen) {
				t.Errorf("with bit %d of byte %d changed: error = %v", bit, i, err)
			}
		}
	}
	jwe, err := box.Seal("credential:k", []byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		box     *seal.Box
		purpose string
		sealed  []byte
	}{
		"another key":     {newBox(t, 2), "credential:k", sealed},
		"another purpose": {box, "credential:l", sealed},
		"no purpose":      {box, "", sealed},
		"nothing":         {box, "credential:k", nil},
		"cut":             {box, "credential:k", sealed[:len(sealed)-1]},
		"longer":          {box, "credential:k", append(bytes.Clone(sealed), 0)},
		"overhead alone":  {box, "credential:k", sealed[:seal.Overhead]},
		"too long":        {box, "credential:k", append([]byte{1}, make([]byte, seal.MaxPlain+seal.Overhead)...)},
		"a JWE":           {box, "credential:k", []byte(jwe)},
	} {
		if plain, err := tc.box.OpenBytes(tc.purpose, tc.sealed); !errors.Is(err, seal.ErrOpen) || plain != nil {
			t.Errorf("%s: OpenBytes() = %q, %v", name, plain, err)
		}
	}
	if _, err := box.Open("credential:k", string(sealed)); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("the other form opens it: %v", err)
	}
	if _, err := box.SealBytes("", nil); err == nil {
		t.Error("sealed for no purpose")
	}
	if _, err := box.SealBytes("k", make([]byte, seal.MaxPlain+1)); !errors.Is(err, seal.ErrPlainSize) {
		t.Errorf("too much to seal: %v", err)
	}
}

func FuzzOpenBytes(f *testing.F) {
	box := newBox(f, 1)
	sealed, err := box.SealBytes("k", []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("k", sealed)
	f.Fuzz(func(t *testing.T, purpose string, value []byte) {
		plain, err := box.OpenBytes(purpose, value)
		if err == nil && (purpose != "k" || string(plain) != "x") { // the seed, of this process or another
			t.Errorf("%x opens for %q", value, purpose)
		}
	})
}

func BenchmarkOpenBytes(b *testing.B) {
	box := newBox(b, 1)
	sealed, err := box.SealBytes("credential:k", make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := box.OpenBytes("credential:k", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
