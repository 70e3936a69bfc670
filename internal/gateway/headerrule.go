package gateway

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// headerRule is one header by which a route chooses requests.
type headerRule struct {
	name   string // canonical
	values []string
	expr   *regexp.Regexp // in place of values; nil for none
}

// headerRules are the rules of r by name.
func (r *Route) headerRules() ([]headerRule, error) {
	var rules []headerRule
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		rule := headerRule{name: http.CanonicalHeaderKey(name), values: r.Headers[name]}
		if text, is := strings.CutPrefix(rule.values[0], "~*"); is && len(rule.values) == 1 {
			var err error
			if rule.expr, err = compileExpression("(?i)", text, ""); err != nil {
				return nil, err
			}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// matches reports whether one of the header's values is one of the rule's. The case
// of letters does not count.
func (r *headerRule) matches(h http.Header) bool {
	for _, v := range h[r.name] {
		if r.expr != nil && r.expr.MatchString(v) {
			return true
		}
		if r.expr == nil && slices.ContainsFunc(r.values, func(want string) bool { return strings.EqualFold(v, want) }) {
			return true
		}
	}
	return false
}
