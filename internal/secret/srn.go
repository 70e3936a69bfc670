package secret

import (
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

const (
	prefix     = "srn:"
	maxSRN     = 512
	maxSegment = 128
	vault      = "vault"
	global     = "global"
)

// The types of what a vault keeps.
const (
	Plain       = "secret"      // a text, such as an API key
	Document    = "secretdoc"   // a JSON object
	Certificate = "certificate" // PEM: a certificate, its chain, and its private key
)

// Types are all of them.
var Types = []string{Plain, Document, Certificate}

// caseless are the service and type of resources whose names have no letter case,
// besides those of a vault.
var caseless = []string{"baas:api-connector", "botnet:endpoint", "botnet:virtual-assistant", "botnet:worker"}

// SRN is a parsed resource name, in canonical form:
//
//	srn:{service}:[{region}]:{organization}:{type}:{resource}[/{qualifier}]
//
// Two SRNs name the same resource exactly if they are ==.
type SRN struct {
	Service      string
	Region       string // "global" where the text has none
	Organization string
	Type         string // e.g. "secret"
	Resource     string // lower case where names have no letter case: in a vault, of connectors
	Qualifier    string // the version; empty: the latest
}

// NewSRN is the name of a secret of an organization. It is not checked.
func NewSRN(organization, typ, resource string) SRN {
	return SRN{Service: vault, Region: global, Organization: organization, Type: typ, Resource: strings.ToLower(resource)}
}

// ParseSRN reads an SRN strictly: nothing is trimmed, the prefix is lower case,
// each part is 1 to 128 of A-Z a-z 0-9 _ - $, the whole at most 512 bytes, in
// canonical form, too. Only the region may be empty. The qualifier may also follow a
// colon. The error repeats no part of s beyond its prefix, since s may be a mistyped
// secret.
func ParseSRN(s string) (SRN, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return SRN{}, fault.New(fault.Invalid, `an SRN starts with "srn:"`)
	}
	parts := strings.SplitN(rest, ":", 7)
	if len(parts) == 5 {
		if resource, qualifier, found := strings.Cut(parts[4], "/"); found {
			parts = append(parts[:4:4], resource, qualifier)
		}
	}
	if len(parts) != 5 && len(parts) != 6 {
		return SRN{}, fault.New(fault.Invalid, "an SRN is srn:service:[region]:organization:type:resource[/qualifier]")
	}
	for i, name := range []string{"service", "region", "organization", "type", "resource", "qualifier"}[:len(parts)] {
		if parts[i] == "" && name == "region" {
			parts[i] = global
		}
		if !segment(parts[i]) {
			return SRN{}, fault.Newf(fault.Invalid, "the %s of an SRN is 1 to %d letters, digits, or _ - $", name, maxSegment)
		}
	}
	n := SRN{Service: parts[0], Region: parts[1], Organization: parts[2], Type: parts[3], Resource: parts[4]}
	if len(parts) == 6 {
		n.Qualifier = parts[5]
	}
	if n.Service == vault || slices.Contains(caseless, n.Service+":"+n.Type) {
		n.Resource = strings.ToLower(n.Resource)
	}
	if len(s) > maxSRN || len(n.String()) > maxSRN {
		return SRN{}, fault.Newf(fault.Invalid, "an SRN has at most %d bytes", maxSRN)
	}
	return n, nil
}

// String is the canonical text: a vault's global region is left out, the
// qualifier follows a slash.
func (n SRN) String() string {
	region := n.Region
	if n.Service == vault && region == global {
		region = ""
	}
	s := prefix + strings.Join([]string{n.Service, region, n.Organization, n.Type, n.Resource}, ":")
	if n.Qualifier != "" {
		s += "/" + n.Qualifier
	}
	return s
}

// IsRef tells whether a configured string names a secret instead of being one.
// Such a string must parse: it is never taken for the secret itself.
func IsRef(s string) bool { return strings.HasPrefix(s, prefix) }

func segment(s string) bool {
	if s == "" || len(s) > maxSegment {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && c != '_' && c != '-' && c != '$' {
			return false
		}
	}
	return true
}
