package gateway

import (
	"errors"
	"fmt"

	"github.com/carnetproject/carnet/internal/fault"
)

// Bounds of what a configuration may ask for.
const (
	maxExpiration = 31536000 // Kong's: one year, in seconds
	maxLeeway     = 600      // seconds
	maxNameLength = 255      // bytes; an issuer may be a URL
	maxClaims     = 64       // that a route asks for, or tells
	maxKeys       = 4        // of one credential: as many as a verifier tries
)

// Validate reports every mistake in c at once: the error joins one [fault.Error]
// each, whose Field is the path of the member, such as "services[0].routes[1].paths[0]".
// It opens no secret and reaches for nothing outside c.
func (c *Config) Validate() error { return errors.Join(c.validate().errs...) }

// Sharing are the paths of the members by which requests are counted on all nodes
// together, for which they need something to share.
func (c *Config) Sharing() []string { return c.validate().sharing }

// NothingShared is what is wrong with those members where there is nothing.
const NothingShared = `nodes have nothing to count in: set bus to redis://HOST:PORT, or write local`

func (c *Config) validate() *validator {
	v := &validator{config: c, credentials: map[string]*JWTSecret{}, routes: map[string]string{}, matches: map[match]string{}}
	if c.Cache < 0 {
		v.bad("cache", "write a size such as 64MiB, or 0 for the default")
	}
	if c.CredentialCache < 0 {
		v.bad("credential_cache", "write a size such as 64MiB, or 0 for the default")
	}
	if c.Counters < 0 {
		v.bad("counters", "write a size such as 64MiB, or 0 for the default")
	}
	v.consumers()
	v.plugins("plugins", &c.Plugins)
	v.upstreams()
	if c.VerifyPath != "" {
		v.verifyPath(c.VerifyPath)
	}
	services := map[string]string{}
	for i := range c.Services {
		s, at := &c.Services[i], fmt.Sprintf("services[%d]", i)
		v.name(at+".name", s.Name, services)
		v.service(at, s)
	}
	for i := range c.Overrides {
		v.override(fmt.Sprintf("overrides[%d]", i), &c.Overrides[i], services)
	}
	return v
}

// override requires two things that exist, or a consumer, which may be one of the store's.
func (v *validator) override(at string, o *Override, services map[string]string) {
	named := 0
	for _, name := range []string{o.Consumer, o.Service, o.Route} {
		if name != "" {
			named++
		}
	}
	if named == 0 || named == 1 && o.Consumer == "" {
		v.bad(at, "name a consumer, or a service and a route; plugins of one of the two stand with it")
	}
	if o.Consumer != "" && !headerText(o.Consumer) {
		v.bad(at+".consumer", "write the username of a consumer")
	}
	if _, ok := services[o.Service]; o.Service != "" && !ok {
		v.bad(at+".service", "there is no service %q", o.Service)
	}
	if _, ok := v.routes[o.Route]; o.Route != "" && !ok {
		v.bad(at+".route", "there is no route %q", o.Route)
	}
	if o.Consumer != "" {
		v.consumerPlugins(at+".plugins", &o.Plugins)
	} else {
		v.plugins(at+".plugins", &o.Plugins)
	}
}

// consumerPlugins refuses plugins that run before the consumer is known: Kong takes
// some of them and then never runs them.
func (v *validator) consumerPlugins(at string, p *Plugins) {
	if p.CORS != nil {
		v.bad(at+".cors", "cannot be attached to a consumer: it runs before the consumer is known")
	}
	if p.JWT != nil {
		v.bad(at+".jwt", "cannot be attached to a consumer: it is what finds out who the consumer is")
	}
	if p.ACL != nil {
		v.bad(at+".acl", "cannot be attached to a consumer: give it other groups")
	}
	v.plugins(at, p)
}

type validator struct {
	config      *Config
	credentials map[string]*JWTSecret // by key
	routes      map[string]string     // name → where it is first used
	matches     map[match]string
	errs        []error
	sharing     []string
}

func (v *validator) bad(at, format string, args ...any) {
	v.errs = append(v.errs, fault.BadField(at, fmt.Sprintf(format, args...)))
}

// name requires a name that no earlier member of the same kind has.
func (v *validator) name(at, name string, used map[string]string) {
	switch first, taken := used[name]; {
	case !plainName(name):
		v.bad(at, "write a name of 1 to %d printable ASCII characters without blanks", maxNameLength)
	case taken:
		v.bad(at, "%q is already the value of %s", name, first)
	default:
		used[name] = at
	}
}

func orAny(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

func (v *validator) plugins(at string, p *Plugins) {
	if p.CORS != nil {
		v.cors(at+".cors", p.CORS)
	}
	if p.RequestSizeLimiting != nil {
		v.requestSize(at+".request-size-limiting", p.RequestSizeLimiting)
	}
	if p.JWT != nil {
		v.jwt(at+".jwt", p.JWT)
	}
	if p.ACL != nil {
		v.acl(at+".acl", p.ACL)
	}
	if p.RateLimiting != nil {
		v.rateLimiting(at+".rate-limiting", p.RateLimiting)
	}
}

func (v *validator) groups(at string, groups []string) {
	for i, g := range groups {
		if !validGroup(g) {
			v.bad(fmt.Sprintf("%s[%d]", at, i), "%q must be printable ASCII without commas and outer blanks", g)
		}
	}
}

// plainName tells whether s is 1 to maxNameLength bytes of visible ASCII.
func plainName(s string) bool {
	return s != "" && len(s) <= maxNameLength && visible(s)
}

// visible tells whether every byte of s is in 0x21–0x7e.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
