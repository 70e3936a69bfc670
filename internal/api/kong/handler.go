// Package kong is Kong's Admin API over what Carnet has of Kong's entities: services,
// routes and plugins of its [Catalog], consumers and their credentials of a registry.
// It also reads and writes kong.yml, Kong's declarative configuration.
//
// Paths, members, statuses and messages are those of Kong 3, or those of Kong 0.14 for
// scripts that were written for it.
package kong

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/secret"
)

// Version is the Kong whose shapes the API has.
type Version string

// The versions.
const (
	Kong3   Version = "3"
	Kong014 Version = "0.14"
)

// Config requires Catalog and Registry, and Secret unless Open.
type Config struct {
	Catalog  *Catalog
	Registry registry
	Secret   secret.Bytes // what callers show, as bearer token or Kong-Admin-Token
	Open     bool         // callers show nothing: for a listener on loopback alone
	Version  Version      // "": Kong3
	// ShowSecrets puts secrets of credentials into every answer that has the
	// credential, not only into that to the one who sets them.
	ShowSecrets bool
	Build       string                          // Carnet's own version
	Ping        func(ctx context.Context) error // reports whether the store answers
	Audit       *audit.Log                      // of what is changed; nil: none
	ClientAddr  func(*http.Request) netip.Addr  // for Audit
}

// Handler serves the API.
type Handler struct {
	c     Config
	shape shape
	tops  map[string]*resource // by the first segment of the path
}

// resource is a collection and where it stands in paths.
type resource struct {
	*kind
	collection
	path   string
	nested map[string]*resource // collections of things under one of these
}

// New returns the API's handler. Mount it at "/" of the operator's listener.
func New(c Config) *Handler {
	h := &Handler{c: c, shape: kong3{}}
	who := people{c.Registry, c.Catalog}
	plug := &resource{kind: plugins, collection: entities{c.Catalog, plugins}, path: "plugins"}
	ways := &resource{kind: routes, collection: entities{c.Catalog, routes}, path: "routes", nested: map[string]*resource{"plugins": plug}}
	cred := &resource{kind: credentials, collection: keys{who, c.ShowSecrets}, path: "jwts"}
	member := &resource{kind: groups, collection: memberships{who}, path: "acls"}
	h.tops = map[string]*resource{
		"plugins": plug, "routes": ways, "jwts": cred, "acls": member,
		"services":  {kind: services, collection: entities{c.Catalog, services}, path: "services", nested: map[string]*resource{"routes": ways, "plugins": plug}},
		"consumers": {kind: consumers, collection: who, path: "consumers", nested: map[string]*resource{"jwt": cred, "acls": member, "plugins": plug}},
	}
	aim := &resource{kind: targets, collection: entities{c.Catalog, targets}, path: "targets"}
	h.tops["upstreams"] = &resource{kind: upstreams, collection: entities{c.Catalog, upstreams}, path: "upstreams", nested: map[string]*resource{"targets": aim}}
	if c.Version == Kong014 {
		h.shape = kong014{}
		h.tops["apis"] = &resource{kind: apis, collection: apiObjects{c.Catalog}, path: "apis", nested: map[string]*resource{"plugins": plug}}
	}
	return h
}

// ServeHTTP answers as Kong does. Without the secret it tells nothing, not even whether
// a path exists.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if p := h.authenticate(r); p != nil {
		if p.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		h.refuse(w, p)
		return
	}
	status, body, err := h.serve(w, r)
	if err != nil {
		p := problemOf(err)
		if p.status >= http.StatusInternalServerError {
			httpx.LogFrom(r.Context()).LogAttrs(r.Context(), slog.LevelError, "admin request failed",
				slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("err", err))
		}
		h.refuse(w, p)
		return
	}
	write(w, status, body)
}

// authenticate asks for the secret. Where none is asked for, a browser is refused: a
// page that somebody on this machine looks at must not be able to write here.
func (h *Handler) authenticate(r *http.Request) *problem {
	if h.c.Open {
		if site := r.Header.Get("Sec-Fetch-Site"); r.Header.Get("Origin") != "" || site != "" && site != "none" {
			return plain(http.StatusForbidden, "Requests of web pages are refused")
		}
		return nil
	}
	given := cmp.Or(r.Header.Get("Kong-Admin-Token"), httpx.Bearer(r))
	if h.c.Secret.Len() == 0 || !h.c.Secret.Equal(secret.FromString(given)) {
		return plain(http.StatusUnauthorized, "Unauthorized")
	}
	return nil
}

// target is what a path names.
type target struct {
	*resource
	in   under
	name string // of one entity, "" for all
	base string // path of the collection, for links
}

// serve answers a request whose author may make it.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (int, any, error) {
	segments, err := split(r.URL.EscapedPath())
	if err != nil {
		return 0, nil, err
	}
	if body, ok := h.node(r, segments); ok {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return 0, nil, errMethod
		}
		return http.StatusOK, body, nil
	}
	t, err := h.locate(r.Context(), segments)
	if err != nil {
		return 0, nil, err
	}
	serve := h.one
	if t.name == "" {
		serve = h.all
	}
	status, body, err := serve(w, r, t)
	if err == nil {
		err = h.record(r, t, body)
	}
	return status, body, err
}

// split cuts a path into its segments. A slash at the end makes no difference.
func split(path string) ([]string, error) {
	var out []string
	for s := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		text, err := url.PathUnescape(s)
		if err != nil {
			return nil, errNotFound
		}
		out = append(out, text)
	}
	return out, nil
}

// locate finds what a path of one to four segments names.
func (h *Handler) locate(ctx context.Context, s []string) (target, error) {
	top := h.tops[s[0]]
	switch {
	case top == nil || len(s) > 4:
		return target{}, errNotFound
	case len(s) == 1:
		return target{resource: top, base: "/" + top.path}, nil
	case len(s) == 2:
		return target{resource: top, name: s[1]}, nil
	}
	child := top.nested[s[2]]
	if child == nil && len(s) == 3 && slices.Contains(top.parents, s[2]) {
		return h.parent(ctx, top, s[1], s[2])
	}
	if child == nil {
		return target{}, errNotFound
	}
	owner, err := top.get(ctx, under{}, s[1])
	if err != nil {
		return target{}, err
	}
	t := target{resource: child, in: under{top.one, text(owner, "id")}, base: "/" + top.path + "/" + s[1] + "/" + s[2]}
	if top.kind == apis {
		t.in.member = services.one
	}
	if len(s) == 4 {
		t.name = s[3]
	}
	return t, nil
}

// parent is what an entity belongs to, such as the consumer of a credential.
func (h *Handler) parent(ctx context.Context, top *resource, name, member string) (target, error) {
	d, err := top.get(ctx, under{}, name)
	if err != nil {
		return target{}, err
	}
	id := reference(d, member)
	if id == "" {
		return target{}, errNotFound
	}
	return target{resource: h.tops[parentKind(member).name], name: id}, nil
}

// all answers for a collection.
func (h *Handler) all(w http.ResponseWriter, r *http.Request, t target) (int, any, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		q := r.URL.Query()
		p, err := pageOf(q, h.shape.maxPage())
		if err != nil {
			return 0, nil, err
		}
		l, err := t.list(r.Context(), t.in, p)
		if err != nil {
			return 0, nil, err
		}
		for i := range l.data {
			l.data[i] = h.shape.show(t.kind, l.data[i])
		}
		return http.StatusOK, h.shape.page(l, nextLink(t.base, q, l.next)), nil
	case http.MethodPost:
		d, err := h.read(w, r, t)
		if err != nil {
			return 0, nil, err
		}
		made, err := t.add(r.Context(), h.shape.fresh(t.kind, d))
		return http.StatusCreated, h.shape.show(t.kind, made), err
	default:
		return 0, nil, errMethod
	}
}

// read is the document of a request, as Kong 3 writes it, with its parent.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, t target) (Document, error) {
	d, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	if d = h.shape.read(t.kind, d); t.kind == plugins {
		d = modern(d)
	}
	if t.in.member != "" {
		d[t.in.member] = refer(t.in.id)
	}
	return d, nil
}

// one answers for an entity.
func (h *Handler) one(w http.ResponseWriter, r *http.Request, t target) (int, any, error) {
	ctx := r.Context()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		d, err := t.get(ctx, t.in, t.name)
		return http.StatusOK, h.shape.show(t.kind, d), err
	case http.MethodPatch, http.MethodPut:
		d, err := h.read(w, r, t)
		if err != nil {
			return 0, nil, err
		}
		change := func(old Document) Document { return merge(old, d) }
		if r.Method == http.MethodPut {
			if t.kind.key != "" && d[t.kind.key] == nil && !isUUID(t.name) {
				d[t.kind.key] = t.name
			}
			change = func(Document) Document { return clone(d) }
		}
		made, err := t.edit(ctx, t.in, t.name, change)
		if problemOf(err) == errNotFound && r.Method == http.MethodPut {
			made, err = h.put(ctx, t, d)
		}
		return http.StatusOK, h.shape.show(t.kind, made), err
	case http.MethodDelete:
		err := t.remove(ctx, t.in, t.name)
		if problemOf(err) == errNotFound && t.in.member == "" && !h.shape.missesDeleted() {
			err = nil
		}
		return http.StatusNoContent, nil, err
	default:
		return 0, nil, errMethod
	}
}

// put adds what PUT did not find to replace.
func (h *Handler) put(ctx context.Context, t target, d Document) (Document, error) {
	if isUUID(t.name) {
		d["id"] = t.name
	}
	return t.add(ctx, d)
}

// pageOf reads which page is asked for.
func pageOf(q url.Values, most int) (page, error) {
	p := page{size: consumer.DefaultPage}
	if s := q.Get("size"); s != "" {
		n, err := strconv.Atoi(s)
		switch {
		case err != nil:
			return p, &problem{http.StatusBadRequest, codeInvalidSize, "invalid size", "size must be a number", nil}
		case n < 1 || n > most:
			return p, &problem{http.StatusBadRequest, codeInvalidSize, "invalid size", "size must be an integer between 1 and " + strconv.Itoa(most), nil}
		}
		p.size = n
	}
	if s := q.Get("offset"); s != "" {
		offset, ok := untoken(s)
		if !ok {
			return p, invalidOffset(s)
		}
		p.offset = offset
	}
	if tags := q.Get("tags"); tags != "" {
		p.any = strings.Contains(tags, "/")
		p.tags = strings.FieldsFunc(tags, func(r rune) bool { return r == ',' || r == '/' })
		if p.any && strings.Contains(tags, ",") || len(p.tags) == 0 {
			return p, &problem{
				http.StatusBadRequest, codeOptions, "invalid options", "invalid option (tags: must be separated by commas or by slashes)",
				Document{"tags": "must be separated by commas or by slashes"},
			}
		}
	}
	return p, nil
}

// nextLink is where the next page is, "" after the last.
func nextLink(base string, q url.Values, next string) string {
	if next == "" {
		return ""
	}
	v := url.Values{"offset": {token(next)}}
	for _, name := range []string{"size", "tags"} {
		if q.Has(name) {
			v.Set(name, q.Get(name))
		}
	}
	return base + "?" + v.Encode()
}

func (h *Handler) refuse(w http.ResponseWriter, p *problem) { write(w, p.status, h.shape.refuse(p)) }

func write(w http.ResponseWriter, status int, body any) {
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone: nobody is left to tell
}
