package secretstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
)

// newCertificate is a certificate and its key in PEM, for loopback.
func newCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
}

func TestFit(t *testing.T) {
	t.Parallel()
	certificate, private := newCertificate(t)
	_, other := newCertificate(t)
	full := strings.Repeat("x", maxValue)
	for name, tc := range map[string]struct{ typ, text, want string }{ // as in TestResolve
		"text":                      {secret.Plain, "s3cret", "s3cret"},
		"one line end":              {secret.Plain, "s3cret\r\n", "s3cret"},
		"blanks":                    {secret.Plain, " s3cret \n\n", " s3cret \n"},
		"empty":                     {secret.Plain, "", "!is empty"},
		"line end alone":            {secret.Plain, "\n", "!is empty"},
		"full":                      {secret.Plain, full + "\n", full},
		"over":                      {secret.Plain, full + "x", "!more than 65536 bytes"},
		"document":                  {secret.Document, `{"a":"s3cret"}` + "\n", `{"a":"s3cret"}`},
		"empty document":            {secret.Document, `{}`, `{}`},
		"list":                      {secret.Document, `["s3cret"]`, "!must be a JSON object"},
		"null":                      {secret.Document, `null`, "!must be a JSON object"},
		"half a document":           {secret.Document, `{"a":"s3cret"`, "!must be a JSON object"},
		"two documents":             {secret.Document, `{} {"a":"s3cret"}`, "!must be a JSON object"},
		"certificate":               {secret.Certificate, certificate + private, strings.TrimSuffix(certificate+private, "\n")},
		"key first":                 {secret.Certificate, private + certificate, strings.TrimSuffix(private+certificate, "\n")},
		"certificate alone":         {secret.Certificate, certificate, "!must be PEM"},
		"key alone":                 {secret.Certificate, private, "!must be PEM"},
		"key of another":            {secret.Certificate, certificate + other, "!private key that belongs to it"},
		"certificate that is a key": {secret.Certificate, "s3cret", "!must be PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Fit(tc.typ, []byte(tc.text))
			part, refused := strings.CutPrefix(tc.want, "!")
			switch {
			case refused && (err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "s3cret")):
				t.Errorf("Fit() error = %v, want one with %q", err, part)
			case !refused && (err != nil || string(got.Reveal()) != tc.want):
				t.Errorf("Fit() = %.40q, %v, want %.40q", got.Reveal(), err, tc.want)
			}
		})
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	doc := secret.FromString(`{"user":"ann","n":9007199254740993,"deep":{"er":{"a/b":"s3cret-1"}},"":"s3cret-2","list":["s3cret"],"null":null,"yes":true,"ö":"\u00e9"}`)
	for pointer, want := range map[string]string{
		"/user":           "ann",
		"/n":              "9007199254740993",
		"/deep/er/a~1b":   "s3cret-1",
		"/":               "s3cret-2",
		"/ö":              "é",
		"/User":           "!has no such field",
		"/user/x":         "!has no such field",
		"/deep/x":         "!has no such field",
		"/list/0":         "!has no such field",
		"/deep":           "!must be a string or a number",
		"/list":           "!must be a string or a number",
		"/null":           "!must be a string or a number",
		"/yes":            "!must be a string or a number",
		"/deep/er/a~1b/x": "!has no such field",
	} {
		r, err := secret.ParseRef("srn:vault::acme:secretdoc:x#" + pointer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := field(doc, r)
		part, refused := strings.CutPrefix(want, "!")
		switch {
		case refused && (err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%s: error = %v, want one with %q", pointer, err, part)
		case !refused && (err != nil || string(got.Reveal()) != want):
			t.Errorf("%s: %q, %v, want %q", pointer, got.Reveal(), err, want)
		}
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	certificate, private := newCertificate(t)
	dir := t.TempDir()
	place(t, dir, "client.pem", certificate+private)
	place(t, dir, "text", "s3cret")
	r := newResolver(t, Config{Organization: "acme", Dir: dir})
	got, err := r.Certificate(t.Context(), "srn:vault::acme:certificate:client")
	if err != nil || len(got.Certificate) != 1 || got.PrivateKey == nil {
		t.Errorf("Certificate() = %v, %v", got.Leaf, err)
	}
	for _, ref := range []string{"srn:vault::acme:secret:text", "srn:vault::acme:certificate:text", "srn:vault::other:certificate:client", "x"} {
		if _, err := r.Certificate(t.Context(), ref); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Certificate(%s) error = %v, want a refusal", ref, err)
		}
	}
}

// FuzzFit: what fits a document has fields or has none, and no text makes it panic.
func FuzzFit(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, "/a/b")
	f.Add(`{"a":"x"}`+"\r\n", "/a")
	f.Add("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "/")
	f.Fuzz(func(t *testing.T, text, pointer string) {
		for _, typ := range secret.Types {
			v, err := Fit(typ, []byte(text))
			if err != nil {
				if v.Len() > 0 {
					t.Error("a value with an error")
				}
				continue
			}
			again, err := Fit(typ, v.Reveal())
			if chomped := string(chomp(v.Reveal())); err == nil && string(again.Reveal()) != chomped {
				t.Errorf("%q fits as %q", v.Reveal(), again.Reveal())
			}
			r, err := secret.ParseRef("srn:vault::o:secretdoc:x#" + pointer)
			if err != nil || typ != secret.Document {
				continue
			}
			if got, err := field(v, r); err != nil && got.Len() > 0 {
				t.Error("a field with an error")
			}
		}
	})
}
