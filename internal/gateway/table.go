package gateway

import (
	"fmt"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// table is a configuration in force. It never changes.
type table struct {
	router    *router
	services  map[string]*service
	upstreams map[string]*pool
	verifiers map[dialectID]*carnet.Verifier
	networks  *networks
	verify    string // where other gateways ask; "": nowhere
}

// compile makes the table of c. What is the same in last is taken over: the
// connections of a service, and the verifier of a dialect with its cached tokens.
func (g *Gateway) compile(c *Config, set *consumer.Set, last *table) (*table, error) {
	t := &table{
		services: map[string]*service{}, verifiers: map[dialectID]*carnet.Verifier{},
		networks: newNetworks(c.RefusedPerIP, g.strangers), verify: c.VerifyPath,
	}
	t.upstreams = upstreams(c.Upstreams, last)
	var all []*candidate
	own := c.withPlugins()
	for i := range c.Services {
		s, at := &c.Services[i], fmt.Sprintf("services[%d]", i)
		to, err := g.service(at, s, t, last)
		if err != nil {
			return nil, err
		}
		t.services[s.Name] = to
		for j := range s.Routes {
			r := &s.Routes[j]
			out := &route{
				name: r.Name, service: to,
				strip: r.StripPath == nil || *r.StripPath, preserveHost: r.PreserveHost, toHTTPS: r.toHTTPS(),
			}
			list := c.attachments(s, r, "")
			if out.stages.before, err = g.before(t, last, list, set); err != nil {
				return nil, fault.BadField(fmt.Sprintf("%s.routes[%d]", at, j), err.Error())
			}
			out.stages.after = g.after(list, s.Name)
			for _, name := range own {
				if out.stages.byConsumer == nil {
					out.stages.byConsumer = map[string][]stage{}
				}
				out.stages.byConsumer[name] = g.after(c.attachments(s, r, name), s.Name)
			}
			ways, err := r.candidates(out)
			if err != nil {
				return nil, fault.BadField(fmt.Sprintf("%s.routes[%d]", at, j), err.Error())
			}
			all = append(all, ways...)
		}
	}
	t.router = newRouter(all)
	return t, nil
}

// before makes the stages of a route up to the one that finds out who asks.
func (g *Gateway) before(t, last *table, list []attachment, set *consumer.Set) ([]stage, error) {
	var made []stage
	if cors, _ := pick(list, func(p *Plugins) *CORS { return p.CORS }); cors != nil {
		s, err := newCORSStage(cors)
		if err != nil {
			return nil, err
		}
		made = append(made, s)
	}
	if jwt, _ := pick(list, func(p *Plugins) *JWT { return p.JWT }); jwt != nil {
		if err := g.known(jwt, set); err != nil {
			return nil, err
		}
		v, err := g.verifier(t, last, newDialect(jwt))
		if err != nil {
			return nil, err
		}
		made = append(made, newJWTStage(jwt, v, t.networks, &g.ring))
	}
	return made, nil
}

// after makes the stages that go by who asks.
func (g *Gateway) after(list []attachment, service string) []stage {
	var made []stage
	if size, _ := pick(list, func(p *Plugins) *RequestSizeLimiting { return p.RequestSizeLimiting }); size != nil {
		made = append(made, newSizeStage(size))
	}
	jwt, _ := pick(list, func(p *Plugins) *JWT { return p.JWT })
	if acl, _ := pick(list, func(p *Plugins) *ACL { return p.ACL }); acl != nil {
		made = append(made, newACLStage(acl, jwt))
	}
	if p, at := pick(list, func(p *Plugins) *RateLimiting { return p.RateLimiting }); p != nil {
		made = append(made, newRateStage(p, jwt, at, service, g.counters))
	}
	return made
}

// verifier returns the one verifier of a dialect.
func (g *Gateway) verifier(t, last *table, d dialect) (*carnet.Verifier, error) {
	id := d.id()
	if v := t.verifiers[id]; v != nil {
		return v, nil
	}
	if last != nil && last.verifiers[id] != nil {
		t.verifiers[id] = last.verifiers[id]
		return t.verifiers[id], nil
	}
	v, err := carnet.NewVerifier(carnet.VerifierConfig{
		Keys: &source{&g.ring, d}, Policy: carnet.SignatureOnly(), Cache: g.cache, Revocations: g.asked(d), Clock: g.clock,
	})
	if err != nil {
		return nil, err
	}
	t.verifiers[id] = v
	return v, nil
}

// service is the one of that name in t, nil if there is none.
func (t *table) service(name string) *service {
	if t == nil {
		return nil
	}
	return t.services[name]
}

// release closes the connections that next has not taken over, as they fall idle.
func (t *table) release(next *table) {
	if t == nil {
		return
	}
	for name, s := range t.services {
		if s.transport == nil {
			continue
		}
		if n := next.services[name]; n == nil || n.transport != s.transport {
			s.transport.CloseIdleConnections()
		}
	}
}
