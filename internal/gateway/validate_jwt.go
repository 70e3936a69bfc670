package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

func (v *validator) jwt(at string, j *JWT) {
	for i, p := range j.IssuerPrefixes {
		v.prefix(fmt.Sprintf("%s.issuer_prefixes[%d]", at, i), p)
	}
	v.plainNames(at+".uri_param_names", j.QueryNames)
	v.plainNames(at+".cookie_names", j.CookieNames)
	v.plainNames(at+".header_names", j.HeaderNames)
	for i, claim := range j.ClaimsToVerify {
		if claim != "exp" && claim != "nbf" {
			v.bad(fmt.Sprintf("%s.claims_to_verify[%d]", at, i), "%q: expected one of: exp, nbf", claim)
		}
	}
	switch {
	case j.MaximumExpiration < 0 || j.MaximumExpiration > maxExpiration:
		v.bad(at+".maximum_expiration", "value should be between 0 and %d", maxExpiration)
	case j.MaximumExpiration > 0 && !slices.Contains(j.ClaimsToVerify, "exp"):
		v.bad(at+".maximum_expiration", "needs exp in claims_to_verify")
	}
	if j.Leeway < 0 || j.Leeway > maxLeeway {
		v.bad(at+".leeway", "value should be between 0 and %d", maxLeeway)
	}
	if strings.ContainsFunc(j.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		v.bad(at+".realm", `must be printable ASCII without '"' and '\'`)
	}
	v.jwtCaller(at, j)
	v.jwtClaims(at, j)
}

func (v *validator) plainNames(at string, names []string) {
	for i, n := range names {
		if !plainName(n) {
			v.bad(fmt.Sprintf("%s[%d]", at, i), "must be 1 to %d printable ASCII characters without blanks", maxNameLength)
		}
	}
}

// jwtCaller checks what says how a caller is found, and what happens if none is.
func (v *validator) jwtCaller(at string, j *JWT) {
	if j.KeyClaimName != "" && !plainName(j.KeyClaimName) {
		v.bad(at+".key_claim_name", "must be 1 to %d printable ASCII characters without blanks", maxNameLength)
	}
	if j.KeyClaimName != "" && j.KeyClaimName != issuerClaim && (len(j.IssuerPrefixes) > 0 || j.KidLookup) {
		v.bad(at+".key_claim_name", "must be iss with issuer_prefixes or kid_lookup: devices are known by it")
	}
	if j.Anonymous != "" && !headerText(j.Anonymous) {
		v.bad(at+".anonymous", "write the username or the id of a consumer")
	}
	v.oneOf(at+".anonymous_on", j.AnonymousOn, []string{onAny, onMissing})
	if j.AnonymousOn != "" && j.Anonymous == "" {
		v.bad(at+".anonymous_on", "needs anonymous")
	}
	v.oneOf(at+".status_profile", j.StatusProfile, slices.Sorted(maps.Keys(profiles))[1:]) // "" is the first of all
}

// jwtClaims checks what a route asks of the claims and tells of them. A claim at fault
// is answered by name, so no two members may ask for the same one.
func (v *validator) jwtClaims(at string, j *JWT) {
	v.plainNames(at+".audience", j.Audience)
	if len(j.RequiredClaims) > maxClaims {
		v.bad(at+".required_claims", "must be at most %d", maxClaims)
	}
	for _, claim := range slices.Sorted(maps.Keys(j.RequiredClaims)) {
		here := at + ".required_claims." + claim
		switch {
		case !plainName(claim):
			v.bad(here, "a claim must be 1 to %d printable ASCII characters without blanks", maxNameLength)
		case slices.Contains(j.ClaimsToVerify, claim):
			v.bad(here, "claims_to_verify asks for it")
		case claim == "aud" && len(j.Audience) > 0:
			v.bad(here, "audience asks for it")
		}
	}
	if len(j.ClaimHeaders) > maxClaims {
		v.bad(at+".claim_headers", "must be at most %d", maxClaims)
	}
	claims := map[string]string{} // by header
	for _, claim := range slices.Sorted(maps.Keys(j.ClaimHeaders)) {
		here, name := at+".claim_headers."+claim, j.ClaimHeaders[claim]
		first, taken := claims[fold(name)]
		claims[fold(name)] = claim
		switch {
		case !plainName(claim):
			v.bad(here, "a claim must be 1 to %d printable ASCII characters without blanks", maxNameLength)
		case !claimHeaderName(name):
			v.bad(here, "%q cannot carry a claim: write a name of your own, such as X-User", name)
		case v.carriesToken(j, name):
			v.bad(here, "%q is where the token stands", name)
		case taken:
			v.bad(here, "%q tells the claim %s", name, first)
		}
	}
}

func (*validator) carriesToken(j *JWT, name string) bool {
	p := newPlaces(j)
	return slices.Contains(p.headers, http.CanonicalHeaderKey(name))
}

// prefix requires that the holders of the credential for p cannot sign: every device
// verifies with it, so a shared secret would let each mint for all others. Whether
// there is one is not ours to say, since it may be one of the store's.
func (v *validator) prefix(at, p string) {
	if !plainName(p) || strings.Contains(p, "-") {
		v.bad(at, `%q must be printable ASCII without blanks and "-", which ends a prefix`, p)
		return
	}
	if s := v.credentials[p]; s != nil && s.symmetric() {
		v.bad(at, "the credential %q must be asymmetric: with a shared secret every device could sign for every other", p)
	}
	for key := range v.credentials {
		if _, ok := parseIssuer(key, []string{p}); ok {
			v.bad(at, "the credential %q is never found: its key reads as a device of %q", key, p)
		}
	}
}

func (v *validator) acl(at string, a *ACL) {
	for _, list := range []struct {
		name, old        string
		groups, oldNamed []string
	}{{"allow", "whitelist", a.Allow, a.Whitelist}, {"deny", "blacklist", a.Deny, a.Blacklist}} {
		if len(list.groups) > 0 && len(list.oldNamed) > 0 {
			v.bad(at+"."+list.old, "is the old name of %s: set one of them", list.name)
		}
		v.groups(at+"."+list.name, list.groups)
		v.groups(at+"."+list.old, list.oldNamed)
	}
	if (len(a.allowed()) == 0) == (len(a.denied()) == 0) {
		v.bad(at, "set exactly one of allow and deny")
	}
}
