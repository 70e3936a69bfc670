package secret

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
)

// maxPointer bounds the pointer of a [Ref], in bytes.
const maxPointer = 256

// Ref is how the configuration names a secret:
//
//	{SRN of a vault}[#{JSON Pointer}]
//
// Refs stand in static configuration alone. A string that comes with a request is data,
// whatever it looks like: who could have it resolved would read every secret there is.
type Ref struct {
	SRN
	Pointer string // RFC 6901: a field of a secretdoc; empty: the whole
}

// Slot is what a place in the configuration takes.
type Slot uint8

// The slots.
const (
	ForText        Slot = iota // a secret, or a field of a secretdoc
	ForDocument                // a whole secretdoc
	ForCertificate             // a certificate
)

// ParseRef reads the name of a secret, whose version, if it has one, is a number. The
// error repeats no more of s than that of [ParseSRN] does.
func ParseRef(s string) (Ref, error) {
	name, pointer, found := strings.Cut(s, "#")
	n, err := ParseSRN(name)
	if err != nil {
		return Ref{}, err
	}
	r := Ref{SRN: n, Pointer: pointer}
	switch {
	case n.Service != vault || n.Region != global || !slices.Contains(Types, n.Type):
		return Ref{}, fault.Newf(fault.Invalid, "%s is not a secret's name: srn:vault::%s:%s:{name}", n, n.Organization, Plain)
	case n.Qualifier != "" && !isVersion(n.Qualifier):
		return Ref{}, fault.Newf(fault.Invalid, "the version of a secret is a number; without one, %s is the latest", NewSRN(n.Organization, n.Type, n.Resource))
	case found && n.Type != Document:
		return Ref{}, fault.Newf(fault.Invalid, "%s has no fields: only a %s has", n, Document)
	case found && !isPointer(pointer):
		return Ref{}, fault.Newf(fault.Invalid, "what follows %s# must be a JSON Pointer, such as /password", n)
	}
	return r, nil
}

// String is the canonical text.
func (r Ref) String() string {
	if r.Pointer == "" {
		return r.SRN.String()
	}
	return r.SRN.String() + "#" + r.Pointer
}

// Belongs tells why r may not be used by what the organization owns.
func (r Ref) Belongs(organization string) error {
	if r.Organization != organization {
		return fault.Newf(fault.Invalid, "%s names the organization %q; it must be %q, as the configuration has it", r.SRN, r.Organization, organization)
	}
	return nil
}

// Fits tells why r may not stand in a slot of what the organization owns.
func (r Ref) Fits(organization string, s Slot) error {
	if err := r.Belongs(organization); err != nil {
		return err
	}
	want := NewSRN(organization, Plain, "{name}").String()
	fits := r.Type == Plain || r.Pointer != ""
	switch s {
	case ForDocument:
		want, fits = NewSRN(organization, Document, "{name}").String(), r.Type == Document && r.Pointer == ""
	case ForCertificate:
		want, fits = NewSRN(organization, Certificate, "{name}").String(), r.Type == Certificate
	case ForText:
		want += ", or " + NewSRN(organization, Document, "{name}").String() + "#/{field}"
	}
	if !fits {
		return fault.Newf(fault.Invalid, "%s does not fit here: it must be %s", r.SRN, want)
	}
	return nil
}

// CheckRef tells whether s names a secret that may stand in a slot.
func CheckRef(s, organization string, slot Slot) error {
	r, err := ParseRef(s)
	if err != nil {
		return err
	}
	return r.Fits(organization, slot)
}

// Fields are the pointer's reference tokens, unescaped.
func (r Ref) Fields() []string {
	if r.Pointer == "" {
		return nil
	}
	fields := strings.Split(r.Pointer[1:], "/")
	for i, f := range fields {
		fields[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(f)
	}
	return fields
}

// isVersion: in one writing alone, so that refs which are not == are of two versions.
func isVersion(s string) bool {
	return len(s) <= 18 && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

// isPointer: RFC 6901 section 3, but for the empty one, which is the whole.
func isPointer(s string) bool {
	if !strings.HasPrefix(s, "/") || len(s) > maxPointer || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f || s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return false
		}
	}
	return true
}
