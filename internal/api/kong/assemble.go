package kong

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
)

// entity is one of the services, routes, plugins, upstreams and targets. It never changes.
type entity struct {
	kind *kind
	doc  Document // complete
	file bool     // it stands in the configuration file

	uid    string
	plugin reflect.Value // of a plugin: what the gateway is told, made once
	misfit error         // why there is none
}

func newEntity(k *kind, doc Document) *entity {
	e := &entity{kind: k, doc: doc, uid: text(doc, "id")}
	if k == plugins {
		e.plugin, e.misfit = bindPlugin(doc)
	}
	return e
}

func (e *entity) id() string { return e.uid }

// name is what the gateway calls a service, a route or an upstream.
func (e *entity) name() string {
	if n := text(e.doc, "name"); n != "" {
		return n
	}
	return e.id()
}

// flaw is why an entity of the store is not in force.
type flaw struct {
	member string // the path of the member at fault, "" if none
	msg    string
	open   bool // without it, something would be let through that it was to refuse
}

// assembly is the configuration of the file with what the store adds to it.
type assembly struct {
	config gateway.Config
	flaws  map[string]flaw // by entity id: those that are left out

	byID      map[string]*entity
	origins   map[string]string // entity id by its path in config
	upstreams map[string]int    // index in config by entity id
	services  map[string]int    // the same
	routes    map[string][2]int // of the service and in it
	users     map[string]string // username by consumer id
	left      map[string]bool   // disabled, or belonging to what is
}

// assemble adds the entities of the store to the configuration of the file, which comes
// first: what would clash with it, or is broken, is left out and named in flaws. With a
// broken plugin goes what it was to protect. usernames are those of the consumers that
// plugins name, by id.
//
// check is asked whether the gateway can use the whole; its error is that of
// [gateway.Config.Validate].
func assemble(file gateway.Config, all []*entity, usernames map[string]string, check func(gateway.Config) error) (*assembly, error) {
	flaws := map[string]flaw{}
	for {
		before := len(flaws)
		a := build(file, all, usernames, flaws)
		if len(flaws) > before {
			continue
		}
		err := check(a.config)
		if err == nil {
			return a, nil
		}
		if a.blame(err); len(flaws) == before {
			return nil, err // nothing of the store's is to blame
		}
	}
}

// build makes one try, without those that have flaws.
func build(file gateway.Config, all []*entity, usernames map[string]string, flaws map[string]flaw) *assembly {
	a := &assembly{
		config: file, flaws: flaws, byID: map[string]*entity{}, origins: map[string]string{}, users: usernames,
		upstreams: map[string]int{}, services: map[string]int{}, routes: map[string][2]int{}, left: map[string]bool{},
	}
	for _, e := range all {
		a.byID[e.id()] = e
		if e.kind == upstreams && !e.file {
			a.left[e.id()] = true // until a target is found
		}
	}
	for _, e := range all {
		if e.kind == targets && e.doc["weight"] != int64(0) {
			delete(a.left, reference(e.doc, "upstream"))
		}
	}
	a.config.Upstreams = slices.Clone(file.Upstreams)
	for i := range a.config.Upstreams {
		u := &a.config.Upstreams[i]
		u.Targets = slices.Clone(u.Targets)
		a.upstreams[fileID(upstreams, u.Name)] = i
	}
	a.config.Consumers = slices.Clone(file.Consumers)
	a.config.Services = slices.Clone(file.Services)
	a.config.Overrides = slices.Clone(file.Overrides)
	for i := range a.config.Services {
		s := &a.config.Services[i]
		s.Routes = slices.Clone(s.Routes)
		a.services[fileID(services, s.Name)] = i
		for j := range s.Routes {
			a.routes[fileID(routes, s.Routes[j].Name)] = [2]int{i, j}
		}
	}
	add := map[*kind]func(*entity) error{upstreams: a.upstream, targets: a.target, services: a.service, routes: a.route, plugins: a.plugin}
	for _, k := range kept {
		for _, e := range all {
			if _, bad := flaws[e.id()]; bad || e.file || e.kind != k {
				continue
			}
			if err := add[k](e); err != nil {
				public := fault.Public(err)
				a.spoil(e.id(), public.Field, public.Msg)
			}
		}
	}
	return a
}

// upstream adds an upstream. One without targets is as if it were not there.
func (a *assembly) upstream(e *entity) error {
	if a.left[e.id()] {
		return nil
	}
	for i := range a.config.Upstreams {
		if a.config.Upstreams[i].Name == e.name() {
			return fault.BadField("name", "an upstream of the configuration file has this name")
		}
	}
	a.upstreams[e.id()] = len(a.config.Upstreams)
	a.origins[fmt.Sprintf("upstreams[%d]", len(a.config.Upstreams))] = e.id()
	a.config.Upstreams = append(a.config.Upstreams, gateway.Upstream{Name: e.name(), Algorithm: text(e.doc, "algorithm")})
	return nil
}

func (a *assembly) target(e *entity) error {
	to := reference(e.doc, "upstream")
	i, ok := a.upstreams[to]
	if a.left[to] {
		return nil
	}
	if !ok {
		return fault.BadField("upstream", "the upstream is not in force")
	}
	t := gateway.Target{Target: text(e.doc, "target")}
	u := &a.config.Upstreams[i]
	a.origins[fmt.Sprintf("upstreams[%d].targets[%d]", i, len(u.Targets))] = e.id()
	err := misfit(bind(Document{"weight": e.doc["weight"]}, &t))
	u.Targets = append(u.Targets, t)
	return err
}

func (a *assembly) service(e *entity) error {
	if e.doc["enabled"] == false {
		a.left[e.id()] = true
		return nil
	}
	for i := range a.config.Services {
		if a.config.Services[i].Name == e.name() {
			return fault.BadField("name", "a service of the configuration file has this name")
		}
	}
	s, err := toService(e)
	if err != nil {
		return err
	}
	a.services[e.id()] = len(a.config.Services)
	a.origins[fmt.Sprintf("services[%d]", len(a.config.Services))] = e.id()
	a.config.Services = append(a.config.Services, s)
	return nil
}

// toService reads the members that the gateway knows.
func toService(e *entity) (gateway.Service, error) {
	s := gateway.Service{URL: serviceURL(e.doc)}
	known := Document{"name": e.name()}
	for _, name := range []string{"connect_timeout", "read_timeout", "write_timeout", "retries", "tls_verify"} {
		known[name] = e.doc[name]
	}
	return s, misfit(bind(known, &s))
}

// serviceURL is where a service's requests go.
func serviceURL(d Document) string {
	scheme, host := text(d, "protocol"), text(d, "host")
	if scheme == "internal" {
		return "internal://" + host
	}
	if strings.Contains(host, ":") {
		host = "[" + strings.Trim(host, "[]") + "]"
	}
	port, _ := d["port"].(int64)
	if (scheme != "http" || port != 80) && (scheme != "https" || port != 443) {
		host += ":" + strconv.FormatInt(port, 10)
	}
	return scheme + "://" + host + text(d, "path")
}

// splitURL is serviceURL the other way round, for the member url of a request, too. It
// sets the members in d, or says what is wrong.
func splitURL(text string, d Document) (wrong string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "expected scheme://host:port/path, without a user, query and fragment"
	}
	port := map[string]int64{"https": 443}[u.Scheme]
	if port == 0 {
		port = 80
	}
	if u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return "expected a port from 0 to 65535"
		}
		port = int64(n)
	}
	d["protocol"], d["host"], d["port"], d["path"] = u.Scheme, u.Hostname(), port, textOrNil(u.EscapedPath())
	return ""
}

func (a *assembly) route(e *entity) error {
	to := reference(e.doc, "service")
	i, ok := a.services[to]
	if a.left[to] {
		a.left[e.id()] = true
		return nil
	}
	if !ok {
		return fault.BadField("service", "the service is not in force")
	}
	r := gateway.Route{Name: e.name()}
	known := Document{}
	for _, name := range []string{
		"hosts", "methods", "paths", "headers", "regex_priority", "protocols", "https_redirect_status_code", "strip_path", "preserve_host",
	} {
		known[name] = e.doc[name]
	}
	if err := misfit(bind(known, &r)); err != nil {
		return err
	}
	s := &a.config.Services[i]
	a.routes[e.id()] = [2]int{i, len(s.Routes)}
	a.origins[fmt.Sprintf("services[%d].routes[%d]", i, len(s.Routes))] = e.id()
	s.Routes = append(s.Routes, r)
	return nil
}

// plugin attaches a plugin. One whose place is not in force is left out for that.
func (a *assembly) plugin(e *entity) error {
	to, at, why := a.place(e)
	switch {
	case why != "":
		a.flaws[e.id()] = flaw{msg: why}
		return nil
	case to == nil:
		return nil
	}
	if e.misfit != nil {
		return misfit(e.misfit)
	}
	if !attach(e, to) {
		a.flaws[e.id()] = flaw{member: "name", msg: "the configuration file has this plugin at the same place"}
		return nil
	}
	a.origins[strings.TrimPrefix(at+".plugins.", ".")+text(e.doc, "name")] = e.id()
	return nil
}

// place is where a plugin is attached, and the path of that; or why there is no such
// place; or nothing, if the plugin or what it belongs to is disabled.
func (a *assembly) place(e *entity) (to *gateway.Plugins, at, why string) {
	service, route, consumer := reference(e.doc, "service"), reference(e.doc, "route"), reference(e.doc, "consumer")
	s, hasService := a.services[service]
	r, hasRoute := a.routes[route]
	username := a.users[consumer]
	switch {
	case e.doc["enabled"] == false || a.left[service] || a.left[route]:
		return nil, "", ""
	case service != "" && !hasService:
		return nil, "", "its service is not in force"
	case route != "" && !hasRoute:
		return nil, "", "its route is not in force"
	case consumer != "" && username == "":
		return nil, "", "its consumer is not there, or has no username"
	case consumer == "" && service == "" && route == "":
		return &a.config.Plugins, "", ""
	case consumer == "" && service == "":
		return &a.config.Services[r[0]].Routes[r[1]].Plugins, fmt.Sprintf("services[%d].routes[%d]", r[0], r[1]), ""
	case consumer == "" && route == "":
		return &a.config.Services[s].Plugins, fmt.Sprintf("services[%d]", s), ""
	}
	ofFile := slices.IndexFunc(a.config.Consumers, func(c gateway.Consumer) bool { return c.Username == username })
	if service == "" && route == "" && ofFile >= 0 {
		return &a.config.Consumers[ofFile].Plugins, fmt.Sprintf("consumers[%d]", ofFile), ""
	}
	o := gateway.Override{Consumer: username}
	if service != "" {
		o.Service = a.config.Services[s].Name
	}
	if route != "" {
		o.Route = a.config.Services[r[0]].Routes[r[1]].Name
	}
	i := slices.IndexFunc(a.config.Overrides, func(x gateway.Override) bool {
		return x.Consumer == o.Consumer && x.Service == o.Service && x.Route == o.Route
	})
	if i < 0 {
		i = len(a.config.Overrides)
		a.config.Overrides = append(a.config.Overrides, o)
		a.origins[fmt.Sprintf("overrides[%d]", i)] = e.id()
	}
	return &a.config.Overrides[i].Plugins, fmt.Sprintf("overrides[%d]", i), ""
}

// spoil leaves out an entity, and with a plugin what it was to protect.
func (a *assembly) spoil(id, member, msg string) {
	e := a.byID[id]
	f := flaw{member: member, msg: msg}
	if e.kind == plugins {
		owner := a.byID[cmp.Or(reference(e.doc, "route"), reference(e.doc, "service"))]
		if f.open = owner == nil || owner.file || reference(e.doc, "consumer") != ""; !f.open {
			a.flaws[owner.id()] = flaw{msg: "its plugin " + text(e.doc, "name") + " is broken: " + msg}
		}
	}
	a.flaws[id] = f
}

// misfit is an error of bind as one of the member that it names.
func misfit(err error) error {
	if err == nil {
		return nil
	}
	name, msg, _ := strings.Cut(err.Error(), ": ")
	return fault.BadField(name, msg)
}

// blame gives each part of a joined error to the entity whose member it is about.
func (a *assembly) blame(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the parts of this error, not of one in it
		for _, each := range joined.Unwrap() {
			a.blame(each)
		}
		return
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return
	}
	for path, rest := e.Field, ""; path != ""; {
		if id, ours := a.origins[path]; ours {
			if _, known := a.flaws[id]; !known {
				a.spoil(id, strings.Trim(rest, "."), e.Msg)
			}
			return
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return
		}
		path, rest = path[:cut], path[cut:]+rest
	}
}
