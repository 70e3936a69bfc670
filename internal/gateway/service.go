package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// service is a [Service] ready to serve. A handler of this process stands in for
// the transport if it is internal.
type service struct {
	name      string
	base      *url.URL
	transport *http.Transport
	handler   http.Handler
	reuse     connections
}

// connections is what makes two services' connections the same, so that they
// outlive a reload.
type connections struct {
	name, url     string
	connect, read time.Duration
}

func (g *Gateway) service(at string, s *Service, last *table) (*service, error) {
	up, err := parseUpstream(s.URL)
	if err != nil {
		return nil, fault.BadField(at+".url", err.Error())
	}
	out := &service{name: s.Name, base: up.url}
	if up.internal != "" {
		if out.handler = g.internal[up.internal]; out.handler == nil {
			return nil, fault.BadField(at+".url", fmt.Sprintf("there is no internal service %q", up.internal))
		}
		return out, nil
	}
	out.reuse = connections{s.Name, s.URL, s.ConnectTimeout, s.ReadTimeout}
	if last != nil {
		if old := last.services[s.Name]; old != nil && old.reuse == out.reuse {
			out.transport = old.transport
			return out, nil
		}
	}
	out.transport = s.transport()
	return out, nil
}

// target is the path that the upstream gets for a request that r admitted by prefix.
func (r *route) target(prefix, path string) string {
	if r.strip {
		path = path[len(prefix):]
	}
	if base := r.service.base; base != nil {
		path = base.EscapedPath() + path
	}
	if path == "" {
		return "/"
	}
	return path
}
