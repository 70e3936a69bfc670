package table

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

func newBox(t testing.TB, fill byte) *seal.Box {
	t.Helper()
	b, err := seal.NewBox(secret.New(bytes.Repeat([]byte{fill}, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestContexts(t *testing.T) {
	t.Parallel()
	c := Contexts{newBox(t, 1)}
	const plain = `{"token":"eyJ"}`
	column, err := c.Seal("cnv_1", json.RawMessage(plain))
	if err != nil || strings.Contains(column, "token") {
		t.Fatalf("Seal() = %q, %v", column, err)
	}
	var into json.RawMessage
	id := "cnv_1"
	if err := c.Column(&id, &into).Scan(column); err != nil || string(into) != plain {
		t.Errorf("Scan() = %q, %v", into, err)
	}
	for name, tc := range map[string]struct {
		contexts Contexts
		of       string
		column   string
	}{
		"another conversation": {c, "cnv_2", column},
		"another key":          {Contexts{newBox(t, 2)}, "cnv_1", column},
		"no key":               {Contexts{}, "cnv_1", column},
		"not base64":           {c, "cnv_1", "~*"},
		"cut off":              {c, "cnv_1", column[:len(column)-4]},
	} {
		if got, err := tc.contexts.Open(tc.of, tc.column); err == nil || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: Open() = %q, %v", name, got, err)
		}
	}
	if err := c.Column(&id, &into).Scan(int64(1)); err == nil {
		t.Error("a number is a context")
	}
}

func TestContextsInTheClear(t *testing.T) {
	t.Parallel()
	sealed, open := Contexts{newBox(t, 1)}, Contexts{}
	for _, plain := range []string{"", "{}"} {
		if column, err := sealed.Seal("cnv_1", json.RawMessage(plain)); err != nil || column != plain {
			t.Errorf("Seal(%q) = %q, %v", plain, column, err)
		}
	}
	const old = `{"a":1}` // of before
	if got, err := sealed.Open("cnv_1", old); err != nil || string(got) != old {
		t.Errorf("Open() = %q, %v", got, err)
	}
	if column, err := open.Seal("cnv_1", json.RawMessage(old)); err != nil || column != old {
		t.Errorf("Seal() = %q, %v", column, err)
	}
	if got, err := open.Open("cnv_1", ""); err != nil || got != nil {
		t.Errorf("Open() = %q, %v", got, err)
	}
}

func FuzzContexts(f *testing.F) {
	f.Add("cnv_1", []byte(`{"a":1}`), "~AAAA")
	c := Contexts{newBox(f, 1)}
	f.Fuzz(func(t *testing.T, of string, plain []byte, junk string) {
		column, err := c.Seal(of, plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 2 {
			if got, err := c.Open(of, column); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("Open(Seal(%q)) = %q, %v", plain, got, err)
			}
		}
		if _, err := c.Open(of, sealedMark+junk); err == nil {
			t.Errorf("%q opens", junk)
		}
	})
}
