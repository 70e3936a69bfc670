package gateway

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// route is a [Route] ready to serve.
type route struct {
	name         string
	service      *service
	strip        bool
	preserveHost bool
	stages       stages
}

// candidate is one combination of host, path and methods that leads to a route.
type candidate struct {
	route   *route
	host    string // "" any, ".example.com" any name below
	prefix  string // without the slash at the end; "" for any path
	path    bool   // the route names paths
	methods []string
	rank    int // the lowest that matches wins
}

// router finds routes. It never changes.
type router struct {
	byPrefix map[string][]*candidate // by rank
	longest  int                     // bytes of the longest prefix: what bounds the search
}

// newRouter ranks the candidates: more attributes first, then an exact host, a
// longer host, a longer path, and last the order of the configuration. So of two
// routes that match, the more specific one answers, always the same.
func newRouter(all []*candidate) *router {
	slices.SortStableFunc(all, func(a, b *candidate) int {
		return cmp.Or(
			cmp.Compare(b.attributes(), a.attributes()),
			cmp.Compare(b.hostRank(), a.hostRank()),
			cmp.Compare(len(b.host), len(a.host)),
			cmp.Compare(len(b.prefix), len(a.prefix)),
		)
	})
	r := &router{byPrefix: map[string][]*candidate{}}
	for i, c := range all {
		c.rank = i
		r.byPrefix[c.prefix] = append(r.byPrefix[c.prefix], c)
		r.longest = max(r.longest, len(c.prefix))
	}
	return r
}

func (c *candidate) attributes() int {
	n := 0
	for _, has := range []bool{c.host != "", c.path, c.methods != nil} {
		if has {
			n++
		}
	}
	return n
}

func (c *candidate) hostRank() int {
	switch {
	case c.host == "":
		return 0
	case c.host[0] == '.':
		return 1
	default:
		return 2
	}
}

// find returns the best candidate for a path in normal form, nil if none matches.
// A prefix matches where a segment ends: /demo is a prefix of /demo and /demo/x,
// not of /demolition.
func (r *router) find(method, host, path string) *candidate {
	var best *candidate
	for n := min(len(path), r.longest); n >= 0; n-- {
		if n < len(path) && path[n] != '/' {
			continue
		}
		for _, c := range r.byPrefix[path[:n]] {
			if best != nil && c.rank > best.rank {
				break
			}
			if c.matches(method, host) {
				best = c
				break
			}
		}
	}
	return best
}

func (c *candidate) matches(method, host string) bool {
	if c.methods != nil && !slices.Contains(c.methods, method) {
		return false
	}
	switch c.hostRank() {
	case 0:
		return true
	case 1:
		return len(host) > len(c.host) && strings.HasSuffix(host, c.host)
	default:
		return host == c.host
	}
}

// candidates are the ways that lead to r.
func (r *Route) candidates(to *route) []*candidate {
	var all []*candidate
	for _, host := range orAny(r.Hosts) {
		for _, path := range orAny(r.Paths) {
			all = append(all, &candidate{
				route: to, host: strings.TrimPrefix(strings.ToLower(host), "*"),
				prefix: strings.TrimSuffix(path, "/"), path: path != "", methods: r.Methods,
			})
		}
	}
	return all
}

// hostName is the host that a request names, in lower case, without the port and
// the final dot.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// validHost tells whether h can be a route's host: a name, an address, or "*."
// and a name.
func validHost(h string) bool {
	if inner, ok := strings.CutPrefix(h, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && strings.HasSuffix(h, "]")
	}
	name := strings.TrimPrefix(h, "*.")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		for i := range len(label) {
			c := label[i] | 0x20
			ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || label[i] == '-' || label[i] == '_')
		}
		if !ok {
			return false
		}
	}
	return true
}
