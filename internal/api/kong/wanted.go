package kong

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Wanted is what a kong.yml asks for.
type Wanted struct {
	wishes []*wish
	// Unsupported is what Carnet has no counterpart for, with all that cannot do without it.
	Unsupported []Unsupported
}

// Unsupported is a part of a kong.yml that Carnet cannot do.
type Unsupported struct {
	What, Why string
	// Open says that without it requests would pass that it refuses: it cannot be
	// left out.
	Open bool
}

// wish is one entity of a kong.yml.
type wish struct {
	kind  *kind
	title string            // its name, or else its id
	doc   Document          // complete; foreign members name titles
	refs  map[string]string // the titles that foreign members name
	why   string            // it cannot be done; "" if it can
	open  bool
	quiet bool // a plugin that refuses nothing

	absent bool // it is to go
	whole  bool // of a consumer: it has no other groups
	first  bool // of a credential without a key: the consumer's first one of its algorithm
}

func (w *wish) label() string { return label(w.kind, w.title, w.refs) }

// label is what an entity is called where there are others: its kind, its title and what
// it belongs to.
func label(k *kind, title string, refs map[string]string) string {
	text := k.one
	if title != "" {
		text += " " + title
	}
	for _, member := range k.parents {
		if refs[member] != "" {
			text += " of " + member + " " + refs[member]
		}
	}
	return text
}

// nests are the lists that may stand in an entity, by its kind; nil is the file itself.
var nests = map[*kind]map[string]*kind{
	nil: {
		"services": services, "routes": routes, "plugins": plugins, "upstreams": upstreams, "targets": targets,
		"consumers": consumers, "jwt_secrets": credentials, "acls": groups,
	},
	services:  {"routes": routes, "plugins": plugins},
	routes:    {"plugins": plugins},
	consumers: {"jwt_secrets": credentials, "acls": groups, "plugins": plugins},
	upstreams: {"targets": targets},
}

// otherCredentials are what consumers may have besides, in Kong.
var otherCredentials = []string{
	"keyauth_credentials", "basicauth_credentials", "hmacauth_credentials", "oauth2_credentials", "mtls_auth_credentials", "groups",
}

// observers are plugins of Kong's that refuse nothing: what they are attached to may do
// without.
var observers = []string{
	"statsd", "datadog", "prometheus", "zipkin", "opentelemetry", "file-log", "http-log", "tcp-log", "udp-log",
	"syslog", "loggly", "correlation-id",
}

// ReadYAML reads a kong.yml, as Kong and decK write it. env gives the variables that it
// may name.
func ReadYAML(data []byte, env func(string) (string, bool)) (*Wanted, error) {
	data, err := expand(data, env)
	if err != nil {
		return nil, err
	}
	top, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	version, ok := top["_format_version"].(string)
	if !ok || !slices.Contains([]string{"1.1", "2.1", "3.0"}, version) {
		return nil, fault.BadField("_format_version", `must be a string: "1.1", "2.1" or "3.0"`)
	}
	r := &reader{old: version != "3.0"}
	delete(top, "_format_version")
	delete(top, "_transform")
	r.lists(nil, top, nil)
	for _, name := range names(top) {
		r.unsupported(name, "Carnet has no such thing")
	}
	return r.finish(), nil
}

type reader struct {
	Wanted
	old bool // paths are those of before 3.0
}

func (r *reader) unsupported(what, why string) {
	r.Unsupported = append(r.Unsupported, Unsupported{What: what, Why: why})
}

// lists takes the lists out of d that hold entities. owner is what d is, nil for the file.
func (r *reader) lists(k *kind, d Document, owner *wish) {
	for _, name := range slices.Sorted(maps.Keys(nests[k])) {
		list, ok := d[name].([]any)
		if !ok && d[name] != nil {
			r.unsupported(name, "expected a list")
		}
		delete(d, name)
		for i, v := range list {
			one, ok := v.(Document)
			if s, short := v.(string); short && nests[k][name] == groups {
				one, ok = Document{"group": s}, true
			}
			if !ok {
				r.unsupported(fmt.Sprintf("%s[%d]", name, i), "expected a mapping")
				continue
			}
			r.entity(nests[k][name], one, owner)
		}
	}
}

// entity reads one entity, and those that stand in it.
func (r *reader) entity(k *kind, d Document, owner *wish) {
	inner := Document{}
	for name := range nests[k] {
		inner[name] = d[name]
		delete(d, name)
	}
	w := &wish{kind: k, title: title(k, d), refs: map[string]string{}}
	for _, member := range k.parents {
		switch to := d[member].(type) {
		case string:
			w.refs[member] = to
		case Document:
			w.refs[member] = anyName(to)
		}
		if owner != nil && owner.kind.one == member {
			w.refs[member] = owner.title
		}
		if w.refs[member] != "" {
			d[member] = Document{"name": w.refs[member]}
		}
	}
	for _, name := range otherCredentials {
		if list, _ := d[name].([]any); k == consumers && len(list) > 0 {
			r.unsupported(name+" of "+w.label(), "consumers have jwt_secrets and acls alone")
		}
		if k == consumers {
			delete(d, name)
		}
	}
	switch {
	case w.title == "" && (k == services || k == routes):
		w.title = unnamed(k, w.refs, d)
		d["id"] = w.title
	case k == consumers && d["username"] == nil && d["id"] == nil:
		w.why = "a consumer without a username needs an id"
	}
	w.quiet = k == plugins && (slices.Contains(observers, text(d, "name")) || d["enabled"] == false)
	var wrong fields
	if w.doc, wrong = r.complete(k, d); wrong != nil {
		w.why = strings.Join(wrong.list(), "; ")
	}
	r.wishes = append(r.wishes, w)
	r.lists(k, inner, w)
}

func (r *reader) complete(k *kind, d Document) (Document, fields) {
	d, _ = loose(d).(Document)
	switch {
	case k == plugins:
		d = modern(d)
	case k == routes && r.old:
		d["paths"] = modernPaths(d["paths"])
	}
	return checkOf(k)(d)
}

// loose lets numbers and truth values that stand in quotes be what their member wants:
// placeholders are often written so.
func loose(v any) any {
	switch v := v.(type) {
	case string:
		if v == "true" || v == "false" || v != "" && len(v) < 20 && strings.Trim(v, "0123456789") == "" {
			return raw(v)
		}
		return v
	case []any:
		for i := range v {
			v[i] = loose(v[i])
		}
		return v
	case Document:
		for name := range v {
			v[name] = loose(v[name])
		}
		return v
	default:
		return v
	}
}

// finish lets all name each other by title, and parts what can be done from the rest.
func (r *reader) finish() *Wanted {
	known := map[string]*wish{}
	for _, w := range r.wishes {
		known[w.kind.one+" "+w.title] = w
		if id := text(w.doc, "id"); id != "" {
			known[w.kind.one+" "+id] = w
		}
	}
	for _, w := range r.wishes {
		for member, name := range w.refs {
			if to := known[member+" "+name]; to != nil {
				w.refs[member] = to.title
				if w.doc != nil {
					w.doc[member] = Document{"name": to.title}
				}
			}
		}
	}
	for again := true; again; {
		again = false
		for _, w := range r.wishes {
			again = w.spread(known) || again
		}
	}
	var able []*wish
	for _, w := range r.wishes {
		if w.why == "" {
			able = append(able, w)
		} else {
			r.Unsupported = append(r.Unsupported, Unsupported{w.label(), w.why, w.open})
		}
	}
	r.wishes = able
	return &r.Wanted
}

// spread leaves out with w what cannot do without it. It reports whether that is news.
func (w *wish) spread(known map[string]*wish) (news bool) {
	if w.why == "" {
		for _, member := range w.kind.parents {
			if to := known[member+" "+w.refs[member]]; to != nil && to.why != "" {
				w.why, w.quiet = "its "+member+" is left out", true
				return true
			}
		}
		return false
	}
	if w.kind != plugins || w.quiet || w.refs["consumer"] != "" {
		return false
	}
	member := "service"
	if w.refs["route"] != "" {
		member = "route"
	}
	owner := known[member+" "+w.refs[member]]
	switch {
	case owner == nil:
		news, w.open = !w.open, true
	case owner.why == "":
		owner.why, news = "its plugin "+w.title+" is not supported", true
	}
	return news
}

// title is what people call an entity: its name, or else its id.
func title(k *kind, d Document) string {
	for _, name := range []string{cmp.Or(k.key, "name"), "custom_id", "id"} {
		if d[name] != nil {
			return fmt.Sprint(d[name])
		}
	}
	return ""
}

// unnamed is the id of an entity that has neither a name nor an id: it follows from what
// it says, so that the same file leads to the same entity.
func unnamed(k *kind, refs map[string]string, d Document) string {
	said, err := json.Marshal(d)
	if err != nil {
		return ""
	}
	return fileID(k, label(k, string(said), refs))
}

// anyName is what a foreign member names, by whichever member.
func anyName(to Document) string {
	for _, name := range names(to) {
		return fmt.Sprint(to[name])
	}
	return ""
}
