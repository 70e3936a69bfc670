package gateway

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// CORS lets pages of other origins read answers, as Kong's plugin cors does.
type CORS struct {
	Origins           []string `yaml:"origins"`         // exact, "*", or expressions for all of an origin, or for its host if they have no colon; any
	Methods           []string `yaml:"methods"`         // all
	Headers           []string `yaml:"headers"`         // those that the page asks for
	ExposedHeaders    []string `yaml:"exposed_headers"` // none
	Credentials       bool     `yaml:"credentials"`     // not with any origin
	MaxAge            *int     `yaml:"max_age"`         // seconds that a browser may remember it; not stated
	PreflightContinue bool     `yaml:"preflight_continue"`
	PrivateNetwork    bool     `yaml:"private_network"`
	AllowOriginAbsent *bool    `yaml:"allow_origin_absent"` // say it to requests without Origin, too; true
}

// defaultMethods are Kong's.
const defaultMethods = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"

// The headers of the Fetch standard that the stage says.
const (
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	allowHeaders     = "Access-Control-Allow-Headers"
	requestMethod    = "Access-Control-Request-Method"
)

// corsStage answers preflight requests itself, and adds to all other answers who may
// read them: refusals, too, so that a page learns why.
type corsStage struct {
	any        bool   // every origin may, without credentials
	only       string // the one origin that may; "" if it depends on the request
	origins    []originRule
	methods    string
	headers    string
	exposed    string
	maxAge     string
	credential bool
	proceed    bool // preflight requests go to the upstream
	private    bool
	absent     bool
}

// originRule is an origin, or an expression for some.
type originRule struct {
	origin string
	expr   *regexp.Regexp
	host   bool // the expression is for the host alone
}

func newCORSStage(c *CORS) (*corsStage, error) {
	s := &corsStage{
		any:     len(c.Origins) == 0,
		methods: defaultMethods, headers: strings.Join(c.Headers, ","), exposed: strings.Join(c.ExposedHeaders, ","),
		credential: c.Credentials, proceed: c.PreflightContinue, private: c.PrivateNetwork,
		absent: c.AllowOriginAbsent == nil || *c.AllowOriginAbsent,
	}
	if c.Methods != nil {
		s.methods = strings.Join(c.Methods, ",")
	}
	if c.MaxAge != nil {
		s.maxAge = strconv.Itoa(*c.MaxAge)
	}
	for _, text := range c.Origins {
		rule, err := newOriginRule(text)
		if err != nil {
			return nil, err
		}
		s.any = s.any || text == "*"
		s.origins = append(s.origins, rule)
	}
	if len(s.origins) == 1 && s.origins[0].expr == nil {
		s.only = c.Origins[0]
	}
	return s, nil
}

// newOriginRule reads an origin as Kong does: with a character that no origin has it
// is an expression, which must match the whole.
func newOriginRule(text string) (originRule, error) {
	if text == "*" || !strings.ContainsFunc(text, func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/-", c)
	}) {
		origin, _, ok := parseOrigin(text)
		if !ok {
			origin = text
		}
		return originRule{origin: origin}, nil
	}
	expr, err := compileExpression("^", text, "$")
	return originRule{expr: expr, host: !strings.Contains(text, ":")}, err
}

// parseOrigin is an origin in the one way to write it: in lower case, without the
// port that the scheme implies. ok is false for what is no origin, such as "null".
func parseOrigin(text string) (origin, host string, ok bool) {
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != strings.ToLower(text) {
		return "", "", false
	}
	host = u.Hostname()
	if p := u.Port(); u.Scheme == "http" && p == "80" || u.Scheme == "https" && p == "443" {
		return u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"+p), host, true
	}
	return u.Scheme + "://" + u.Host, host, true
}

func (*corsStage) name() string { return "cors" }

func (s *corsStage) check(_ context.Context, r *request) *refusal {
	origin := r.first("Origin")
	switch {
	case r.asked: // the one that asks gives the answer
	case r.method == http.MethodOptions && origin != "" && r.first(requestMethod) != "":
		if !s.proceed {
			return s.preflight(r, origin)
		}
	case origin != "" || s.absent:
		s.allow(r, origin)
		if s.exposed != "" {
			r.answer("Access-Control-Expose-Headers", s.exposed)
		}
	}
	return nil
}

// preflight answers 200 whoever asks: what it says is for the browser to judge.
func (s *corsStage) preflight(r *request, origin string) *refusal {
	s.allow(r, origin)
	if headers := s.headers; headers != "" {
		r.answer(allowHeaders, headers)
	} else if headers = r.first("Access-Control-Request-Headers"); headers != "" {
		r.answer(allowHeaders, headers)
	}
	r.answer("Access-Control-Allow-Methods", s.methods)
	if s.maxAge != "" {
		r.answer("Access-Control-Max-Age", s.maxAge)
	}
	if s.private && r.first("Access-Control-Request-Private-Network") == "true" {
		r.answer("Access-Control-Allow-Private-Network", "true")
	}
	return &refusal{status: http.StatusOK, reason: "a preflight request is answered here"}
}

// allow says which origin may read the answer. Where that depends on the request,
// caches must know.
func (s *corsStage) allow(r *request, origin string) {
	allowed := "*"
	if !s.any {
		r.answer("Vary", "Origin")
		if allowed = s.only; allowed == "" {
			allowed = s.match(origin)
		}
	}
	r.answer(allowOrigin, allowed)
	if s.credential && allowed != "" {
		r.answer(allowCredentials, "true")
	}
}

// match returns origin as it is answered, "" if it may not.
func (s *corsStage) match(text string) string {
	origin, host, ok := parseOrigin(text)
	if !ok {
		origin, host = text, text // "null", which a rule may name
	}
	for i := range s.origins {
		if s.origins[i].matches(origin, host) {
			return origin
		}
	}
	return ""
}

func (o *originRule) matches(origin, host string) bool {
	switch {
	case o.expr == nil:
		return origin != "" && origin == o.origin
	case o.host:
		return o.expr.MatchString(host)
	default:
		return o.expr.MatchString(origin)
	}
}

// anybody is an origin that no rule is meant for.
const anybody = "https://anybody.invalid"

func (v *validator) cors(at string, c *CORS) {
	open := len(c.Origins) == 0
	for i, text := range c.Origins {
		rule, err := newOriginRule(text)
		if err != nil || text == "" {
			v.bad(at+".origins["+strconv.Itoa(i)+"]", `%q is neither "*" nor an origin nor an expression of RE2`, text)
			continue
		}
		open = open || text == "*" || c.Credentials && (rule.matches("null", "null") || rule.matches(anybody, "anybody.invalid"))
	}
	if c.Credentials && open {
		v.bad(at+".credentials", "name the origins that may act for the user: not any, and not null")
	}
	if c.MaxAge != nil && *c.MaxAge < 0 {
		v.bad(at+".max_age", "must not be negative")
	}
	for _, list := range []struct {
		name  string
		names []string
	}{{"methods", c.Methods}, {"headers", c.Headers}, {"exposed_headers", c.ExposedHeaders}} {
		for i, n := range list.names {
			if !validHeader(n) {
				v.bad(at+"."+list.name+"["+strconv.Itoa(i)+"]", "%q is not a name", n)
			}
		}
	}
}
