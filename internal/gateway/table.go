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
	verifiers map[dialectID]*carnet.Verifier
}

// compile makes the table of c. What is the same in last is taken over: the
// connections of a service, and the verifier of a dialect with its cached tokens.
func (g *Gateway) compile(c *Config, set *consumer.Set, last *table) (*table, error) {
	t := &table{services: map[string]*service{}, verifiers: map[dialectID]*carnet.Verifier{}}
	var all []*candidate
	own := c.withPlugins()
	for i := range c.Services {
		s, at := &c.Services[i], fmt.Sprintf("services[%d]", i)
		to, err := g.service(at, s, last)
		if err != nil {
			return nil, err
		}
		t.services[s.Name] = to
		for j := range s.Routes {
			r := &s.Routes[j]
			out := &route{
				name: r.Name, service: to,
				strip: r.StripPath == nil || *r.StripPath, preserveHost: r.PreserveHost,
			}
			list := c.attachments(s, r, "")
			if out.stages.before, err = g.before(t, last, list, set); err != nil {
				return nil, fault.BadField(fmt.Sprintf("%s.routes[%d]", at, j), err.Error())
			}
			out.stages.after = g.after(list)
			for _, name := range own {
				if out.stages.byConsumer == nil {
					out.stages.byConsumer = map[string][]stage{}
				}
				out.stages.byConsumer[name] = g.after(c.attachments(s, r, name))
			}
			all = append(all, r.candidates(out)...)
		}
	}
	t.router = newRouter(all)
	return t, nil
}

// before makes the stages of a route up to the one that finds out who asks.
func (g *Gateway) before(t, last *table, list []attachment, set *consumer.Set) ([]stage, error) {
	var made []stage
	if jwt, _ := pick(list, func(p *Plugins) *JWT { return p.JWT }); jwt != nil {
		v, err := g.verifier(t, last, newDialect(jwt), set)
		if err != nil {
			return nil, err
		}
		made = append(made, newJWTStage(jwt, v))
	}
	return made, nil
}

// after makes the stages that go by who asks.
func (g *Gateway) after(list []attachment) []stage {
	var made []stage
	if acl, _ := pick(list, func(p *Plugins) *ACL { return p.ACL }); acl != nil {
		made = append(made, newACLStage(acl))
	}
	return made
}

// verifier returns the one verifier of a dialect.
func (g *Gateway) verifier(t, last *table, d dialect, set *consumer.Set) (*carnet.Verifier, error) {
	for _, p := range d.prefixes {
		if err := set.CheckPrefix(p); err != nil {
			return nil, err
		}
	}
	id := d.id()
	if v := t.verifiers[id]; v != nil {
		return v, nil
	}
	if last != nil && last.verifiers[id] != nil {
		t.verifiers[id] = last.verifiers[id]
		return t.verifiers[id], nil
	}
	v, err := carnet.NewVerifier(carnet.VerifierConfig{
		Keys: &source{&g.ring, d}, Policy: carnet.SignatureOnly(), Cache: g.cache, Clock: g.clock,
	})
	if err != nil {
		return nil, err
	}
	t.verifiers[id] = v
	return v, nil
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
