package kong

import (
	"maps"
	"net/http"
	"strings"

	"github.com/carnetproject/carnet/internal/consumer"
)

// shape is how a version of Kong writes documents, lists and refusals. Inside, all is
// as Kong 3 has it.
type shape interface {
	read(k *kind, d Document) Document
	fresh(k *kind, d Document) Document // what a new entity is given besides
	show(k *kind, d Document) Document
	page(l listing, next string) any
	refuse(p *problem) any
	missesDeleted() bool // whether to delete what is not there is an error
	maxPage() int
}

type kong3 struct{}

func (kong3) read(_ *kind, d Document) Document { return d }

func (kong3) fresh(_ *kind, d Document) Document { return d }

func (kong3) show(_ *kind, d Document) Document { return d }

func (kong3) missesDeleted() bool { return false }

func (kong3) maxPage() int { return consumer.MaxPage }

func (kong3) page(l listing, next string) any {
	page := Document{"data": l.data, "next": textOrNil(next)}
	if next != "" {
		page["offset"] = token(l.next)
	}
	return page
}

func (kong3) refuse(p *problem) any {
	d := Document{"message": p.message}
	if p.code != 0 {
		d["code"], d["name"] = int64(p.code), p.name
	}
	if p.fields != nil {
		d["fields"] = p.fields
	}
	return d
}

// kong014 is Kong 0.14, as far as scripts have been seen to rely on it.
type kong014 struct{}

func (kong014) missesDeleted() bool { return true }

// maxPage is more than the scripts ask for, which do not read a second page.
func (kong014) maxPage() int { return 10 * consumer.MaxPage }

// foreignIDs are the foreign members as 0.14 writes them, flat.
var foreignIDs = map[string]string{"consumer_id": "consumer", "service_id": "service", "route_id": "route", "api_id": "service"}

// read takes dotted names apart, which 0.14 knows in JSON, too, and takes "" for null.
func (kong014) read(k *kind, d Document) Document {
	out := Document{}
	for _, name := range names(d) {
		v := d[name]
		if v == "" {
			v = nil
		}
		if member := foreignIDs[name]; member != "" {
			out[member] = nil
			if v != nil {
				out[member] = Document{"id": v}
			}
			continue
		}
		group, inner, dotted := strings.Cut(name, ".")
		if !dotted {
			out[name] = v
			continue
		}
		record, ok := out[group].(Document)
		if !ok {
			record = Document{}
		}
		record[inner] = v
		out[group] = record
	}
	delete(out, "created_at")
	if k == plugins {
		splitLists(out)
	}
	return out
}

// fresh lets a jwt plugin answer as that of 0.14 does, and find credentials by kid as the
// one that Sunbird runs, unless it says otherwise: the scripts have no word for either.
func (kong014) fresh(k *kind, d Document) Document {
	if k != plugins || text(d, "name") != "jwt" {
		return d
	}
	config := Document{"status_profile": "sunbird", "kid_lookup": true}
	if given, ok := d["config"].(Document); ok {
		maps.Copy(config, given)
	}
	d["config"] = config
	return d
}

// splitLists takes a list of a plugin's config apart that is one text with commas.
func splitLists(d Document) {
	config, _ := d["config"].(Document)
	for name, v := range config {
		s, ok := v.(string)
		if r, form := v.(raw); form {
			s, ok = string(r), true
		}
		if ok && listNames[name] {
			config[name] = commaList(s)
		}
	}
}

// listNames are the members of plugins that are lists.
var listNames = map[string]bool{
	"whitelist": true, "blacklist": true, "allow": true, "deny": true, "uri_param_names": true, "cookie_names": true,
	"claims_to_verify": true, "origins": true, "methods": true, "headers": true, "exposed_headers": true,
}

// commaList is a list that is written as one text.
func commaList(s string) []any {
	list := []any{}
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return list
}

// show writes foreign members flat, times in milliseconds and nothing that is null.
func (kong014) show(k *kind, d Document) Document {
	if d == nil || k == services || k == routes {
		return d // these two were new in 0.14 and are the same in Kong 3
	}
	out := withoutNulls(d)
	for _, name := range []string{"updated_at", "tags", "instance_name", "protocols"} {
		delete(out, name)
	}
	if at, ok := out["created_at"].(int64); ok {
		out["created_at"] = at * 1000
	}
	for _, member := range k.parents {
		if id := reference(d, member); id != "" {
			delete(out, member)
			out[member+"_id"] = id
		}
	}
	if config, ok := out["config"].(Document); ok {
		for old, name := range oldNames {
			if v, has := config[name]; has && text(d, "name") == "acl" {
				delete(config, name)
				config[old] = v
			}
		}
	}
	return out
}

func withoutNulls(d Document) Document {
	out := maps.Clone(d)
	for name, v := range out {
		switch v := v.(type) {
		case nil:
			delete(out, name)
		case Document:
			out[name] = withoutNulls(v)
		}
	}
	return out
}

func (kong014) page(l listing, next string) any {
	page := Document{"data": l.data}
	if l.total >= 0 {
		page["total"] = int64(l.total)
	}
	if next != "" {
		page["next"], page["offset"] = next, token(l.next)
	}
	return page
}

// refuse names members flat, such as config.minute.
func (kong014) refuse(p *problem) any {
	d := Document{}
	switch p.code {
	case codeUnique:
		for name, v := range p.fields {
			d[name] = "already exists with value '" + valueText(v) + "'"
		}
	case codeSchema:
		for _, msg := range fields(p.fields).list() {
			if name, text, named := strings.Cut(msg, ": "); named && !strings.Contains(name, " ") {
				d[name] = text
			} else {
				d["message"] = msg
			}
		}
	default:
		d["message"] = p.message
	}
	return d
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Document:
		return text(v, "id")
	default:
		return ""
	}
}

// node answers for the node itself: who it is, and whether its store answers.
func (h *Handler) node(r *http.Request, segments []string) (any, bool) {
	switch strings.Join(segments, "/") {
	case "":
		version := "3.9.0"
		if h.c.Version == Kong014 {
			version = "0.14.1"
		}
		available := Document{}
		for _, name := range pluginNames() {
			available[name] = true
		}
		return Document{
			"version": version, "tagline": "Carnet speaks Kong's Admin API", "carnet": h.c.Build,
			"configuration": Document{"router_flavor": "traditional"},
			"plugins":       Document{"available_on_server": available, "enabled_in_cluster": listOf(pluginNames())},
		}, true
	case "status":
		reachable := h.c.Ping == nil || h.c.Ping(r.Context()) == nil
		return Document{"database": Document{"reachable": reachable}}, true
	case "plugins/enabled":
		return Document{"enabled_plugins": listOf(pluginNames())}, true
	default:
		return nil, false
	}
}
