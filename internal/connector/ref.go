package connector

import (
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// ref is a secret that stands in a document by its name. It is a type of its own so
// that no text of a user's can ever be taken for one.
type ref string

// named is what stands in a body by its name until the body is sent.
type named interface{ name() string }

func (r ref) name() string { return string(r) }

// isRef tells whether a configured string names a secret. It must then parse: it is
// never used as a value.
func isRef(s string) bool { return strings.HasPrefix(s, "srn:vault:") }

// secret takes the name of a secret that fits the slot.
func (k *checker) secret(at, s string, slot secret.Slot) ref {
	if err := secret.CheckRef(s, k.organization, slot); err != nil {
		k.bad(at, "%s", fault.Public(err).Msg)
		return ""
	}
	return ref(s)
}
