package kong

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/gateway"
)

// fileID is the id of an entity of the configuration file: it follows from its name, so
// that it is the same on all nodes and outlives a restart.
func fileID(k *kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:carnet:"+k.one+":"+name)).String()
}

// disassemble shows what the configuration file has as Kong's entities. users are the
// usernames of consumers by id.
func disassemble(c *gateway.Config, users map[string]string) []*entity {
	ids := make(map[string]string, len(users))
	for id, name := range users {
		ids[name] = id
	}
	var all []*entity
	add := func(k *kind, d Document) {
		e := newEntity(k, d)
		e.file = true
		all = append(all, e)
	}
	addPlugins := func(p *gateway.Plugins, under Document) {
		for _, d := range detach(p) {
			path := text(d, "name")
			for _, parent := range plugins.parents {
				d[parent] = under[parent]
				path += " " + reference(under, parent)
			}
			d["id"] = fileID(plugins, path)
			add(plugins, d)
		}
	}
	addPlugins(&c.Plugins, nil)
	for i := range c.Consumers {
		addPlugins(&c.Consumers[i].Plugins, Document{"consumer": refer(consumerID(c.Consumers[i].Username))})
	}
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		add(upstreams, fromUpstream(u))
		for j := range u.Targets {
			add(targets, fromTarget(u.Name, &u.Targets[j]))
		}
	}
	for i := range c.Services {
		s := &c.Services[i]
		service := refer(fileID(services, s.Name))
		add(services, fromService(s))
		addPlugins(&s.Plugins, Document{"service": service})
		for j := range s.Routes {
			r := &s.Routes[j]
			add(routes, fromRoute(r, service))
			addPlugins(&r.Plugins, Document{"route": refer(fileID(routes, r.Name))})
		}
	}
	for i := range c.Overrides {
		o := &c.Overrides[i]
		under := Document{}
		if o.Consumer != "" {
			under["consumer"] = refer(cmp.Or(ids[o.Consumer], consumerID(o.Consumer)))
		}
		if o.Service != "" {
			under["service"] = refer(fileID(services, o.Service))
		}
		if o.Route != "" {
			under["route"] = refer(fileID(routes, o.Route))
		}
		addPlugins(&o.Plugins, under)
	}
	return all
}

// consumerID is the id of a consumer of the file.
func consumerID(username string) string { return consumer.New(username, "", nil).ID }

func fromService(s *gateway.Service) Document {
	d := unbind(s)
	_ = splitURL(s.URL, d) // Validate has read it
	for _, name := range []string{"url", "routes", "plugins", "ca_certificates"} {
		delete(d, name)
	}
	if s.ConnectTimeout == 0 {
		d["connect_timeout"] = int64(5000) // ours; Kong's default is another
	}
	return shown(services, d, s.Name)
}

func fromRoute(r *gateway.Route, service any) Document {
	d := unbind(r)
	delete(d, "plugins")
	d["service"] = service
	return shown(routes, d, r.Name)
}

func fromUpstream(u *gateway.Upstream) Document {
	return shown(upstreams, Document{"name": u.Name, "algorithm": textOrNil(u.Algorithm)}, u.Name)
}

func fromTarget(upstream string, t *gateway.Target) Document {
	d := unbind(t)
	d["upstream"] = refer(fileID(upstreams, upstream))
	return shown(targets, d, upstream+" "+t.Target)
}

// shown completes the document of an entity of the file. What Kong's form has no word
// for is shown as it stands.
func shown(k *kind, d Document, name string) Document {
	d["id"] = fileID(k, name)
	if full, wrong := k.schema.complete(d); wrong == nil {
		return full
	}
	return d
}
