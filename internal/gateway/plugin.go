package gateway

// scope is where a plugin is attached, by names; "" where it is not.
type scope struct{ route, service, consumer string }

// attachment is the plugins of one scope.
type attachment struct {
	scope   scope
	plugins *Plugins
}

// attachments returns the plugins that may apply to the requests of one consumer ("" if
// there is none, or none with plugins of its own) on route r of service s: the first
// that has a plugin decides it. The order is Kong's: route, service and consumer
// together, route and consumer, service and consumer, route and service, consumer,
// route, service, all.
func (c *Config) attachments(s *Service, r *Route, consumer string) []attachment {
	list := c.overrides(scope{r.Name, s.Name, consumer}, scope{r.Name, "", consumer}, scope{"", s.Name, consumer})
	if consumer != "" {
		list = append(list, c.overrides(scope{r.Name, s.Name, ""}, scope{consumer: consumer})...)
		for i := range c.Consumers {
			if c.Consumers[i].Username == consumer {
				list = append(list, attachment{scope{consumer: consumer}, &c.Consumers[i].Plugins})
			}
		}
	}
	return append(
		list,
		attachment{scope{route: r.Name}, &r.Plugins},
		attachment{scope{service: s.Name}, &s.Plugins},
		attachment{scope{}, &c.Plugins},
	)
}

// overrides returns the overrides of these scopes in their order.
func (c *Config) overrides(scopes ...scope) []attachment {
	var list []attachment
	for _, at := range scopes {
		for i := range c.Overrides {
			if o := &c.Overrides[i]; at == (scope{o.Route, o.Service, o.Consumer}) && at != (scope{}) {
				list = append(list, attachment{at, &o.Plugins})
			}
		}
	}
	return list
}

// withPlugins names the consumers that have plugins of their own anywhere.
func (c *Config) withPlugins() []string {
	seen := map[string]bool{}
	var names []string
	add := func(name string, p *Plugins) {
		if name != "" && *p != (Plugins{}) && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for i := range c.Consumers {
		add(c.Consumers[i].Username, &c.Consumers[i].Plugins)
	}
	for i := range c.Overrides {
		add(c.Overrides[i].Consumer, &c.Overrides[i].Plugins)
	}
	return names
}

// pick returns the plugin attached most closely, nil if there is none.
func pick[P any](list []attachment, of func(*Plugins) *P) (*P, scope) {
	for _, a := range list {
		if p := of(a.plugins); p != nil {
			return p, a.scope
		}
	}
	return nil, scope{}
}

// stages are the checks of a route in the order of Kong's priorities. Those before
// know nobody; jwt is the last of them. Those after may differ by consumer.
type stages struct {
	before, after []stage
	byConsumer    map[string][]stage // after, by username, where it differs
}

// next returns the stages that follow once the caller is known.
func (s *stages) next(p *Principal) []stage {
	if p != nil && s.byConsumer != nil {
		if own, ok := s.byConsumer[p.Consumer.Username]; ok {
			return own
		}
	}
	return s.after
}

// acl returns the access list for p, nil if there is none.
func (s *stages) acl(p *Principal) *aclStage {
	for _, each := range s.next(p) {
		if a, ok := each.(*aclStage); ok {
			return a
		}
	}
	return nil
}
