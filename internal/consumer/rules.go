package consumer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
)

// Reserved is what the configuration holds that nothing in the store may clash with:
// the file's entries come first.
type Reserved struct {
	Consumers map[string]bool // usernames
	CustomIDs map[string]bool
	Keys      map[string]bool // of credentials
	Prefixes  []string        // of device issuers: P of P-device-timestamp
}

// Reserve replaces what is reserved. The registry keeps it.
func (r *Registry) Reserve(all Reserved) { r.reserved.Store(&all) }

// maxTags and maxGroups bound what one consumer brings into memory.
const (
	maxTags   = 64
	maxGroups = 256
)

// maxSecret is the longest secret, in bytes.
const maxSecret = 4096

// maxPEM is the longest public key, in bytes.
const maxPEM = 16 << 10

func (i *Info) validate(file *Reserved) error {
	switch {
	case i.Username == "" && i.CustomID == "":
		return fault.BadField("username", "set username, custom_id or both")
	case i.Username != "" && !nameText(i.Username):
		return fault.BadField("username", badName)
	case i.CustomID != "" && !nameText(i.CustomID):
		return fault.BadField("custom_id", badName)
	case file.Consumers[i.Username]:
		return taken("username", "a consumer of the configuration file has this username")
	case file.CustomIDs[i.CustomID]:
		return taken("custom_id", "a consumer of the configuration file has this custom_id")
	case len(i.Groups) > maxGroups:
		return fault.BadField("groups", fmt.Sprintf("must be at most %d", maxGroups))
	}
	for n := range i.Groups {
		if err := i.Groups[n].validate(fmt.Sprintf("groups[%d]", n)); err != nil {
			return err
		}
	}
	return common(i.ID, i.Tags)
}

func (g *Group) validate(field string) error {
	if !nameText(g.Name) || strings.Contains(g.Name, ",") {
		return fault.BadField(field, badName+", no comma")
	}
	return common(g.ID, g.Tags)
}

// validate holds to Kong's rules (daos.lua of its jwt plugin), and is stricter where
// they let a credential in that could not or must not verify anything: ES* needs a
// public key too, and a private key is none.
func (r *Record) validate(file *Reserved) error {
	switch {
	case !nameText(r.Key):
		return fault.BadField("key", badName)
	case file.Keys[r.Key]:
		return taken("key", "a credential of the configuration file has this key")
	case !r.Algorithm.Valid():
		return fault.BadField("algorithm", "must be one of HS, RS, PS or ES with 256, 384 or 512, or EdDSA")
	case r.Secret.Len() > maxSecret:
		return fault.BadField("secret", fmt.Sprintf("must be at most %d bytes", maxSecret))
	case len(r.PublicKey) > maxPEM:
		return fault.BadField("rsa_public_key", fmt.Sprintf("must be at most %d bytes", maxPEM))
	case strings.Contains(r.PublicKey, "PRIVATE KEY"):
		return fault.BadField("rsa_public_key", "is a private key: write the public one")
	case r.Algorithm.Symmetric():
		if p, is := file.prefixOf(r.Key); is {
			return fault.BadField("key", fmt.Sprintf(
				"belongs to the devices of the issuer prefix %q, whose credential must be asymmetric: with a shared secret every device could sign for every other", p))
		}
	case r.PublicKey == "":
		return fault.BadField("rsa_public_key", "is required for "+string(r.Algorithm))
	default:
		if _, err := carnet.ParsePEM(string(r.Algorithm), "", []byte(r.PublicKey)); err != nil {
			return fault.BadField("rsa_public_key", err.Error())
		}
	}
	if r.ID == "" {
		return common(uuid.Nil.String(), r.Tags)
	}
	return common(r.ID, r.Tags)
}

// prefixOf is the issuer prefix whose devices a key would speak for.
func (f *Reserved) prefixOf(key string) (prefix string, is bool) {
	for _, p := range f.Prefixes {
		if rest, ok := strings.CutPrefix(key, p); ok && (rest == "" || rest[0] == '-') {
			return p, true
		}
	}
	return "", false
}

// common are the rules of what consumers, groups and credentials all have.
func common(id string, tags []string) error {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return fault.BadField("id", "must be a UUID in lower case")
	}
	if len(tags) > maxTags {
		return fault.BadField("tags", fmt.Sprintf("must be at most %d", maxTags))
	}
	for _, t := range tags {
		if !nameText(t) || strings.ContainsAny(t, ",/") {
			return fault.BadField("tags", badName+`, no "," and no "/"`)
		}
	}
	return nil
}

func (p Page) valid() (Page, error) {
	if p.Size == 0 {
		p.Size = DefaultPage
	}
	if p.Size < 1 || p.Size > MaxPage {
		return p, fault.BadField("size", fmt.Sprintf("must be 1 to %d", MaxPage))
	}
	return p, nil
}

const badName = "must be 1 to 255 bytes of printable text without outer blanks"

// nameText tells whether s reaches an upstream unchanged as a header value.
func nameText(s string) bool {
	return s != "" && len(s) <= MaxName && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func taken(field, msg string) error {
	return &fault.Error{Kind: fault.Conflict, Field: field, Msg: msg}
}
