package gateway

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

// claimHeader is a header that tells the upstream a claim.
type claimHeader struct{ claim, header string } // the header in canonical form

func newClaimHeaders(m map[string]string) []claimHeader {
	var list []claimHeader
	for _, claim := range slices.Sorted(maps.Keys(m)) {
		list = append(list, claimHeader{claim, http.CanonicalHeaderKey(m[claim])})
	}
	return list
}

// maxClaimHeader bounds the value of one header, in bytes.
const maxClaimHeader = 1024

// tell makes the headers of a token's claims. A list is told with commas between its
// values. A value that cannot be told unchanged is not told at all: not one that is too
// long, has other than printable characters, or has a comma in a list.
func tell(headers []claimHeader, t *carnet.Verified) []line {
	told := make([]line, 0, len(headers))
	var claim jose.Value
	for _, h := range headers {
		if t.Claim(h.claim, &claim) != nil {
			continue
		}
		if text, ok := joined(claim); ok && printable(text, maxClaimHeader) {
			told = append(told, line{h.header, text})
		}
	}
	return told
}

// joined is a claim in one line, false if it cannot be told from another one.
func joined(claim jose.Value) (text string, ok bool) {
	var room [128]byte
	b, between := room[:0], ""
	for v := range each(claim) {
		one, ok := textOf(v)
		if !ok || claim.Kind == jose.Array && bytes.IndexByte(one, ',') >= 0 {
			return "", false
		}
		b = append(append(b, between...), one...)
		between = ", "
	}
	return string(b), true
}

// claimHeaderName tells whether the name may carry a claim: it is none that the
// gateway, the connection or the request's own form needs.
func claimHeaderName(name string) bool {
	if !validHeader(name) || kindOf(name) != ordinary {
		return false
	}
	name = http.CanonicalHeaderKey(name)
	return !slices.Contains(hopByHop, name) && !slices.Contains(reservedForm, name) &&
		!strings.HasPrefix(name, "Sec-") && !strings.HasPrefix(name, "Proxy-") && !strings.HasPrefix(name, "Content-")
}

// reservedForm are headers that say what a request is.
var reservedForm = []string{
	"Host", "Authorization", "Cookie", "Expect", "Range", "If-Match", "If-None-Match", "If-Range",
	"If-Modified-Since", "If-Unmodified-Since", "Origin", "Http2-Settings", "X-Http-Method-Override",
}

// scrub takes out of a request what its upstream must not see: the token, and what a
// client says under the name of a header that tells a claim.
type scrub struct {
	tokens *places  // nil: tokens stay
	names  []string // folded
}

// newScrub returns nil if j leaves requests as they are. p is where j looks for tokens.
func newScrub(j *JWT, p *places) *scrub {
	if !j.HideCredentials && len(j.ClaimHeaders) == 0 {
		return nil
	}
	s := &scrub{}
	if j.HideCredentials {
		s.tokens = p
	}
	for _, h := range j.ClaimHeaders {
		s.names = append(s.names, fold(h))
	}
	return s
}

// clean changes the request to the upstream, whose header is its own.
func (s *scrub) clean(out *http.Request) {
	if s == nil {
		return
	}
	if s.tokens != nil {
		s.tokens.remove(out)
	}
	for name := range out.Header {
		if slices.Contains(s.names, fold(name)) {
			delete(out.Header, name)
		}
	}
}

// fold is a header's name as upstreams like CGI see it: in any case, with any sign for
// a dash.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r | 0x20
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		default:
			return '-'
		}
	}, name)
}
