package gateway

import (
	"cmp"
	"math/bits"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// route is a [Route] ready to serve.
type route struct {
	name         string
	service      *service
	strip        bool
	preserveHost bool
	toHTTPS      int // the status that sends plain HTTP away; 0: it may pass
	stages       stages
}

// candidate is one combination of host, path, methods and headers that leads to a
// route.
type candidate struct {
	route   *route
	host    hostRule
	prefix  string         // without the slash at the end; "" for any path
	expr    *regexp.Regexp // in place of a prefix; nil for none
	literal string         // what all matches of expr begin with
	methods []string
	headers []headerRule

	kinds    kinds
	priority int // among expressions
	rank     int // the lowest that matches wins
}

// kinds are the attributes by which a candidate chooses. Kong prefers more of them,
// then those with the higher value.
type kinds uint8

const (
	byMethod kinds = 1 << iota
	byPath
	byHeader
	byHost
)

// router finds routes. It never changes.
type router struct {
	named   map[string]prefixes // by whole host
	others  prefixes
	longest int          // bytes of the longest prefix: what bounds the search
	exprs   []*candidate // by rank
}

// prefixes are candidates by their prefix, each list by rank.
type prefixes map[string][]*candidate

// newRouter ranks the candidates as Kong's traditional router does: more kinds of
// attributes first, hosts before headers before paths before methods, a whole host
// before a wildcard, more headers, an expression before a prefix and the one of higher
// priority before others, a longer prefix; and last a longer host and the order of
// the configuration. So of two routes that match, always the same one answers.
func newRouter(all []*candidate) *router {
	slices.SortStableFunc(all, func(a, b *candidate) int {
		return cmp.Or(
			cmp.Compare(bits.OnesCount8(uint8(b.kinds)), bits.OnesCount8(uint8(a.kinds))),
			cmp.Compare(b.kinds, a.kinds),
			cmp.Compare(b.host.rank(), a.host.rank()),
			cmp.Compare(len(b.headers), len(a.headers)),
			cmp.Compare(b.exprRank(), a.exprRank()),
			cmp.Compare(b.priority, a.priority),
			cmp.Compare(len(b.prefix), len(a.prefix)),
			cmp.Compare(len(b.host.name), len(a.host.name)),
		)
	})
	r := &router{named: map[string]prefixes{}, others: prefixes{}}
	for i, c := range all {
		c.rank = i
		if c.expr != nil {
			r.exprs = append(r.exprs, c)
			continue
		}
		in := r.others
		if c.host.form == wholeHost {
			if in = r.named[c.host.name]; in == nil {
				in = prefixes{}
				r.named[c.host.name] = in
			}
		}
		in[c.prefix] = append(in[c.prefix], c)
		r.longest = max(r.longest, len(c.prefix))
	}
	return r
}

func (c *candidate) exprRank() int {
	if c.expr != nil {
		return 1
	}
	return 0
}

// find returns the best candidate for q, and how much of its path the candidate's
// path is; nil if none matches. A prefix matches where a segment ends: /demo is a
// prefix of /demo and /demo/x, not of /demolition. An expression ends where it ends.
func (r *router) find(q *request) (best *candidate, matched int) {
	named := r.named[q.host]
	for n := min(len(q.path), r.longest); n >= 0; n-- {
		if n < len(q.path) && q.path[n] != '/' {
			continue
		}
		if named != nil {
			best = first(best, named[q.path[:n]], q)
		}
		best = first(best, r.others[q.path[:n]], q)
	}
	if best != nil {
		matched = len(best.prefix)
	}
	for _, c := range r.exprs {
		if best != nil && c.rank > best.rank {
			break
		}
		if strings.HasPrefix(q.path, c.literal) && c.matches(q) {
			if at := c.expr.FindStringIndex(q.path); at != nil {
				return c, at[1]
			}
		}
	}
	return best, matched
}

// first returns the first of list that matches q, or best if that comes before.
func first(best *candidate, list []*candidate, q *request) *candidate {
	for _, c := range list {
		if best != nil && c.rank > best.rank {
			break
		}
		if c.matches(q) {
			return c
		}
	}
	return best
}

// matches compares everything but the path.
func (c *candidate) matches(q *request) bool {
	if c.methods != nil && !slices.Contains(c.methods, q.method) || !c.host.matches(q.host, q.port) {
		return false
	}
	for i := range c.headers {
		if !c.headers[i].matches(q.header) {
			return false
		}
	}
	return true
}

// candidates are the ways that lead to r.
func (r *Route) candidates(to *route) ([]*candidate, error) {
	headers, err := r.headerRules()
	if err != nil {
		return nil, err
	}
	var all []*candidate
	for _, host := range orAny(r.Hosts) {
		for _, path := range orAny(r.Paths) {
			c := &candidate{route: to, methods: r.Methods, headers: headers}
			if host != "" {
				c.host, _ = parseHost(host)
				c.kinds |= byHost
			}
			if path != "" {
				c.kinds |= byPath
			}
			if len(r.Methods) > 0 {
				c.kinds |= byMethod
			}
			if len(headers) > 0 {
				c.kinds |= byHeader
			}
			if text, is := expression(path); is {
				c.priority = r.RegexPriority
				if c.expr, err = compileExpression("", text, ""); err != nil {
					return nil, err
				}
				c.literal, _ = c.expr.LiteralPrefix()
				if c.expr, err = compileExpression("^", text, ""); err != nil {
					return nil, err
				}
			} else {
				c.prefix = strings.TrimSuffix(path, "/")
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// toHTTPS is the status that plain HTTP is answered with, 0 if it may pass.
func (r *Route) toHTTPS() int {
	if len(r.Protocols) == 0 || slices.Contains(r.Protocols, "http") {
		return 0
	}
	return cmp.Or(r.HTTPSRedirect, http.StatusUpgradeRequired)
}

// expression returns what follows the "~" that Kong 3 marks a regular expression with.
func expression(path string) (text string, is bool) { return strings.CutPrefix(path, "~") }
