package kong

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
)

// Exporter writes what a node has as a kong.yml.
type Exporter struct {
	Catalog  *Catalog
	Registry registry
	// Secrets writes the secrets of credentials. Without them, the file names variables
	// of the environment in their place.
	Secrets bool
}

// Write writes a kong.yml that [ReadYAML] reads: services, routes and plugins of the
// configuration file and of the store, and all consumers, of which it holds one at a
// time. What Kong's format has no word for stands in it as a comment.
func (x Exporter) Write(ctx context.Context, to io.Writer) error {
	w := &exportWriter{Exporter: x, to: bufio.NewWriter(to), now: x.Catalog.state.Load()}
	w.line(`_format_version: "3.0"`)
	for _, lost := range losses(&w.now.file) {
		w.line("# left out, Kong has no word for it: " + lost)
	}
	w.section("upstreams", w.entities(upstreams, under{}))
	w.section("services", w.entities(services, under{}))
	w.section("plugins", w.attached())
	if err := w.consumers(ctx); err != nil {
		return err
	}
	return w.to.Flush()
}

type exportWriter struct {
	Exporter
	to  *bufio.Writer
	now *state
}

func (w *exportWriter) line(text string) { _, _ = w.to.WriteString(text + "\n") } // Flush has its error

func (w *exportWriter) section(name string, list []any) {
	if len(list) == 0 {
		return
	}
	w.line(name + ":")
	for _, v := range list {
		w.item(v)
	}
}

// item writes an element of a list.
func (w *exportWriter) item(v any) {
	text, err := yaml.MarshalWithOptions([]any{v}, yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		text = []byte("# " + strings.ReplaceAll(err.Error(), "\n", " ") + "\n") // a Document can always be written
	}
	_, _ = w.to.Write(append(bytes.TrimRight(text, "\n"), '\n'))
}

// entities are those of a kind, each with what stands in it.
func (w *exportWriter) entities(k *kind, in under) []any {
	var out []any
	for _, e := range w.now.all {
		if e.kind != k || !in.has(e) {
			continue
		}
		m := inOrder(k, without(k.schema.trim(e.doc), append([]string{"created_at", "updated_at"}, k.parents...)...))
		switch k {
		case services:
			m = nest(m, "routes", w.entities(routes, under{"service", e.id()}))
			m = nest(m, "plugins", w.plugins("service", e.id()))
		case routes:
			m = nest(m, "plugins", w.plugins("route", e.id()))
		case upstreams:
			m = nest(m, "targets", w.entities(targets, under{"upstream", e.id()}))
		}
		out = append(out, m)
	}
	return out
}

// plugins are those that are attached to one thing alone.
func (w *exportWriter) plugins(member, id string) []any {
	var out []any
	for _, e := range w.now.all {
		if e.kind == plugins && reference(e.doc, member) == id && places(e) == 1 {
			out = append(out, inOrder(plugins, trimPlugin(e.doc)))
		}
	}
	return out
}

// attached are the plugins that are attached to nothing or to several things.
func (w *exportWriter) attached() []any {
	var out []any
	for _, e := range w.now.all {
		if e.kind != plugins || places(e) == 1 {
			continue
		}
		d := trimPlugin(e.doc)
		for _, member := range plugins.parents {
			id := reference(e.doc, member)
			if owner := w.now.byID[id]; owner != nil {
				d[member] = title(owner.kind, owner.doc)
			} else if id != "" {
				d[member] = w.now.users[id]
			}
		}
		out = append(out, inOrder(plugins, d))
	}
	return out
}

// places is to how many things a plugin is attached.
func places(e *entity) (n int) {
	for _, member := range plugins.parents {
		if reference(e.doc, member) != "" {
			n++
		}
	}
	return n
}

func trimPlugin(d Document) Document {
	out := without(pluginSchema.trim(d), append([]string{"created_at", "updated_at"}, plugins.parents...)...)
	if config, ok := d["config"].(Document); ok {
		delete(out, "config")
		if short := configs[text(d, "name")].trim(config); len(short) > 0 {
			out["config"] = short
		}
	}
	return out
}

func (w *exportWriter) consumers(ctx context.Context) error {
	who := people{w.Registry, w.Catalog}
	first := true
	for p := (page{size: consumer.MaxPage}); ; {
		l, err := who.list(ctx, under{}, p)
		if err != nil {
			return err
		}
		for _, d := range l.data {
			if first {
				w.line("consumers:")
				first = false
			}
			if err := w.consumer(ctx, who, d); err != nil {
				return err
			}
		}
		if p.offset = l.next; l.next == "" {
			return nil
		}
	}
}

// consumer writes one, with its groups, plugins and credentials. A page of credentials
// is in memory at a time.
func (w *exportWriter) consumer(ctx context.Context, who people, d Document) error {
	id := text(d, "id")
	m := inOrder(consumers, without(consumerSchema.trim(d), "created_at", "updated_at"))
	all, err := memberships{who}.of(ctx, id)
	if err != nil {
		return err
	}
	var acls []any
	for _, g := range all {
		acls = append(acls, inOrder(groups, without(groupSchema.trim(g), "id", "created_at", "consumer")))
	}
	m = nest(m, "acls", acls)
	m = nest(m, "plugins", w.plugins("consumer", id))
	w.item(m)
	return w.credentials(ctx, who, id)
}

func (w *exportWriter) credentials(ctx context.Context, who people, owner string) error {
	all := keys{who, w.Secrets}
	first := true
	for p := (page{size: consumer.MaxPage}); ; {
		l, err := all.list(ctx, under{"consumer", owner}, p)
		if err != nil {
			return err
		}
		for _, d := range l.data {
			if d["key_set"] != nil {
				continue // it is among the losses
			}
			if first {
				w.line("  jwt_secrets:")
				first = false
			}
			w.credential(d)
		}
		if p.offset = l.next; l.next == "" {
			return nil
		}
	}
}

func (w *exportWriter) credential(d Document) {
	out := without(credentialSchema.trim(d), "id", "created_at", "consumer")
	if jose.Algorithm(text(d, "algorithm")).Symmetric() && out["secret"] == nil {
		out["secret"] = `${{ env "DECK_SECRET_` + variable(text(d, "key")) + `" }}`
	}
	var item bytes.Buffer
	inner := exportWriter{to: bufio.NewWriter(&item)}
	inner.item(inOrder(credentials, out))
	_ = inner.to.Flush() // into memory
	for line := range strings.Lines(item.String()) {
		_, _ = w.to.WriteString("  " + line)
	}
}

// variable is a key as a part of a variable's name.
func variable(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}

// losses are the parts of the configuration file that Kong's format has no word for.
func losses(c *gateway.Config) []string {
	var out []string
	for i := range c.Consumers {
		u := &c.Consumers[i]
		for _, s := range u.JWTSecrets {
			if s.KeySet != "" {
				out = append(out, fmt.Sprintf("the credential of consumer %s for the key set %s", u.Username, s.KeySet))
			}
		}
	}
	for i := range c.Services {
		if s := &c.Services[i]; s.CACertificates != "" {
			out = append(out, "ca_certificates of service "+s.Name)
		}
	}
	for i := range c.Upstreams {
		if u := &c.Upstreams[i]; u.MaxFails != 0 || u.FailTimeout != 0 {
			out = append(out, "max_fails and fail_timeout of upstream "+u.Name)
		}
	}
	return out
}

// nest adds a list that stands in an entity.
func nest(m yaml.MapSlice, name string, list []any) yaml.MapSlice {
	if len(list) == 0 {
		return m
	}
	return append(m, yaml.MapItem{Key: name, Value: list})
}

// without leaves members out.
func without(d Document, members ...string) Document {
	for _, name := range members {
		delete(d, name)
	}
	return d
}

// inOrder is d with what it is called first.
func inOrder(k *kind, d Document) yaml.MapSlice {
	var m yaml.MapSlice
	key := k.key
	if key == "" {
		key = "name"
	}
	if v, ok := d[key]; ok {
		m = append(m, yaml.MapItem{Key: key, Value: v})
	}
	for _, name := range names(d) {
		if name == key {
			continue
		}
		v := d[name]
		if inner, ok := v.(Document); ok {
			v = inOrder(k, inner)
		}
		m = append(m, yaml.MapItem{Key: name, Value: v})
	}
	return m
}
