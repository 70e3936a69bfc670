package gateway

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/carnetproject/carnet/internal/fault"
)

// service is a [Service] ready to serve. A handler of this process stands in for
// the pool and its transport if it is internal.
type service struct {
	name      string
	base      *url.URL
	pool      *pool
	transport *http.Transport
	retries   int
	handler   http.Handler
	reuse     connections
}

// service makes a service whose targets are those of an upstream, if its URL names
// one of t.
func (g *Gateway) service(at string, s *Service, t, last *table) (*service, error) {
	to, err := parseURL(s.URL)
	if err != nil {
		return nil, fault.BadField(at+".url", err.Error())
	}
	out := &service{name: s.Name, base: to.url, retries: defaultRetries}
	if to.internal != "" {
		if out.handler = g.internal[to.internal]; out.handler == nil {
			return nil, fault.BadField(at+".url", fmt.Sprintf("there is no internal service %q", to.internal))
		}
		return out, nil
	}
	if s.Retries != nil {
		out.retries = *s.Retries
	}
	if out.pool = t.upstreams[to.url.Hostname()]; out.pool == nil {
		out.pool = single(to.url)
	}
	out.reuse = s.connections()
	if old := last.service(s.Name); old != nil && old.transport != nil && old.reuse == out.reuse {
		out.transport = old.transport
	} else {
		out.transport = out.reuse.transport()
	}
	return out, nil
}

// target is the path that the upstream gets for a path of whose first bytes the
// route's own path matched so many. An expression may match up to the middle of a
// segment; what is left is a path of its own then, which leads nowhere above.
func (r *route) target(matched int, path string) string {
	rest := path
	if r.strip {
		rest = path[matched:]
		if rest != "" && rest[0] != '/' {
			rest = "/" + rest
		}
		rest = resolveDots(rest)
	}
	if base := r.service.base; base != nil && base.Path != "" {
		if path == "/" { // of which Kong, too, makes the base alone
			rest = ""
		}
		rest = base.EscapedPath() + rest
	}
	if rest == "" {
		return "/"
	}
	return rest
}
