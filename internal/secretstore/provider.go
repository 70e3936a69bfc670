// Package secretstore finds secrets by name: in the environment, in files, in
// HashiCorp Vault or OpenBao, and in the node's own store. What names a secret is a
// [secret.Ref].
package secretstore

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// The names of the providers.
const (
	Env     = "env"
	File    = "file"
	Vault   = "vault"
	Builtin = "builtin"
)

// maxValue bounds a secret, in bytes.
const maxValue = 64 << 10

// provider is one place where secrets may be. Safe for concurrent use.
type provider interface {
	// find returns the value of the version that n asks for. found is false if it is
	// not here, and may be elsewhere; an error means that nobody knows.
	find(ctx context.Context, n secret.SRN) (v value, found bool, err error)
	// place is where n would be, for people: "in the environment as X".
	place(n secret.SRN) string
}

// value is what a provider has.
type value struct {
	text    []byte
	version string // empty if the provider has no versions
}

// Fit returns the value as a secret of a type, which it must be: one line end at its end
// is dropped, an empty value and one beyond 64 KiB are refused, and so are a secretdoc
// that is no JSON object and a certificate whose private key is not in it, or is not its
// own. Errors show nothing of the value.
func Fit(typ string, text []byte) (secret.Bytes, error) {
	text = chomp(text)
	switch {
	case len(text) == 0:
		return secret.Bytes{}, fault.New(fault.Invalid, "is empty")
	case len(text) > maxValue:
		return secret.Bytes{}, fault.Newf(fault.Invalid, "has more than %d bytes", maxValue)
	}
	switch typ {
	case secret.Document:
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) != nil || object == nil {
			return secret.Bytes{}, fault.New(fault.Invalid, "must be a JSON object")
		}
	case secret.Certificate:
		if _, err := tls.X509KeyPair(text, text); err != nil {
			return secret.Bytes{}, fault.New(fault.Invalid, "must be PEM: a certificate, its chain, and the private key that belongs to it")
		}
	}
	return secret.New(text), nil
}

// chomp drops the line end that editors and echo leave behind.
func chomp(b []byte) []byte {
	s := strings.TrimSuffix(string(b), "\n")
	if len(s) < len(b) {
		s = strings.TrimSuffix(s, "\r")
	}
	return []byte(s)
}

// field returns the text of a field of a secretdoc: of a string what it says, of a
// number its digits as they stand.
func field(doc secret.Bytes, r secret.Ref) (secret.Bytes, error) {
	at := json.RawMessage(doc.Reveal())
	for _, name := range r.Fields() {
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil {
			object = nil
		}
		inner, ok := object[name]
		if !ok {
			return secret.Bytes{}, fault.Newf(fault.NotFound, "%s has no such field", r)
		}
		at = inner
	}
	var text string
	if json.Unmarshal(at, &text) == nil && at[0] == '"' {
		return secret.FromString(text), nil
	}
	var number json.Number
	if json.Unmarshal(at, &number) == nil && at[0] != 'n' {
		return secret.New(at), nil
	}
	return secret.Bytes{}, fault.Newf(fault.Invalid, "%s must be a string or a number", r)
}
