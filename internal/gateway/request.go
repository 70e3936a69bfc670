package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

// request is all that a stage sees of a request, so that the HTTP engine below
// can be replaced. A stage may set the principal and the groups, and add headers to
// the answer, nothing else.
type request struct {
	method string
	host   string     // lower case, without port
	port   string     // of the host; the scheme's if it names none
	secure bool       // came over TLS, as far as we and trusted proxies know
	path   string     // in normal form
	addr   netip.Addr // of the client, behind trusted proxies
	now    time.Time
	header http.Header
	query  string // as sent, without "?"
	length int64  // of the body; -1 if nobody knows it yet
	asked  bool   // by another gateway, which has the body and gives the answer itself
	again  bool   // was admitted before, and is looked at once more

	principal *Principal // who asks; nil until a stage has found out
	excused   string     // why the principal is an anonymous consumer
	answers   []line     // what stages tell the client, admitted or not
	atMost    int64      // bytes that the body may have; 0: any number

	// What the upstream is told beside the principal, and what it must not see.
	identifier string // X-Credential-Identifier; "": none
	groups     string // X-Consumer-Groups, if grouped
	grouped    bool
	told       []line // headers made of claims
	scrub      *scrub // nil: nothing
}

// line is a header of the answer, by its canonical name. It replaces what the
// upstream says under that name, or takes it away if the value is ""; Vary is added
// to what the upstream says.
type line struct{ name, value string }

// answer adds a header to the answer.
func (r *request) answer(name, value string) { r.answers = append(r.answers, line{name, value}) }

// reply puts what the stages have to say into the header of the answer.
func (r *request) reply(h http.Header) {
	for _, a := range r.answers {
		switch {
		case a.value == "":
			delete(h, a.name)
		case a.name == "Vary":
			h["Vary"] = append(h["Vary"], a.value)
		default:
			h[a.name] = []string{a.value}
		}
	}
}

// Principal is who asks, proven by a token. It is made for one request and never
// changed, while what it points to is shared and never changed either. An anonymous
// consumer has proven nothing: it has no credential, no identity and no token.
type Principal struct {
	Consumer   *consumer.Consumer
	Credential *consumer.Credential // nil: anonymous
	// Identity is what to count the caller by: the whole issuer of a device or of one
	// whose key a kid named, the credential's key of anyone else.
	Identity string
	Device   string // "" if the caller is none
	Token    *carnet.Verified
}

// stage is one check of a route. It returns nil to let the request go on.
type stage interface {
	name() string
	check(ctx context.Context, r *request) *refusal
}

// first returns the first value of a header, by its canonical name.
func (r *request) first(name string) string {
	if values := r.header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// cookie returns the first cookie of that name as sent, "" if there is none.
func (r *request) cookie(name string) string {
	for _, line := range r.header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if n, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && n == name {
				return value
			}
		}
	}
	return ""
}

// eachQuery calls found for every query parameter of that name. bare says that
// it came without "=".
func (r *request) eachQuery(name string, found func(value string, bare bool)) {
	for rest := r.query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, ok := strings.Cut(pair, "=")
		if pair != "" && decodeQuery(key) == name {
			found(decodeQuery(value), !ok)
		}
	}
}

// decodeQuery leaves alone what is not a valid escape.
func decodeQuery(s string) string {
	if strings.ContainsAny(s, "%+") {
		if text, err := url.QueryUnescape(s); err == nil {
			return text
		}
	}
	return s
}
