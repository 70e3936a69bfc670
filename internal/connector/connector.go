// Package connector calls the APIs of others as a document says: which endpoint, what of
// an input goes where into the request, and what of the answer comes out. The documents
// have the shape of ServisBOT's api-connectors.
//
// [Parse] compiles a document into a [Connector], which calls nobody; a [Client] calls.
// What a document names is configuration, what an input has is data: a value is put in
// once, encoded for its place, and never read as a template, a path or a secret's name.
package connector

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/wire"
)

// Connector is a compiled document. It does not change, and holds no secret.
type Connector struct {
	Alias    string
	Method   string
	Endpoint string // as the document has it
	Group    string // of restrictions; empty: none
	// Timeout is for a whole call, from the look-up of the name to the end of the body.
	Timeout time.Duration

	timed       bool // the document says Timeout
	target      endpoint
	headers     []header
	body        any
	hasBody     bool
	request     []mapping
	response    []output
	certificate ref
	files       []string // hosts that files may be fetched from
	insecure    bool     // also over http
	retries     int
	secrets     []ref
	revision    string
}

// Options say how a document is read. They require Organization.
type Options struct {
	Organization string   // the one whose secrets a document may name
	Strict       bool     // what is not known is a fault, not a warning
	Insecure     bool     // http endpoints may be called
	Ports        []uint16 // that may be called; nil: any
	Files        []string // hosts that files may be fetched from, in lower case; nil: no entry has an encoding
}

// The documented members that a document may have, and that say nothing to us.
var ignored = []string{"Srn", "Created", "Updated", "CreatedBy", "UpdatedBy", "Organization", "Key"}

// Defaults and bounds of a document's own numbers.
const (
	defaultTimeout = 3 * time.Second
	maxRetries     = 2
)

// Parse compiles a document, which is JSON. The error joins a [fault.Error] for each
// thing that is wrong, whose Field is a JSON pointer to it.
func Parse(doc []byte, opts Options) (*Connector, []Warning, error) {
	v, err := decode(doc)
	if err != nil {
		return nil, nil, err
	}
	k := &checker{strict: opts.Strict, organization: opts.Organization, files: opts.Files}
	c := k.connector(k.object("", v), opts)
	if err := k.err(); err != nil {
		return nil, nil, err
	}
	canonical, err := wire.JSON(v)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(canonical)
	c.revision = hex.EncodeToString(sum[:])
	return c, k.warnings, nil
}

// IsAlias tells whether s can name a connector.
func IsAlias(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

func (k *checker) connector(o *object, opts Options) *Connector {
	o.read = append(o.read, ignored...)
	c := &Connector{
		Alias: o.need("Alias"), Method: strings.ToUpper(o.need("Method")), Endpoint: o.need("Endpoint"), Group: o.text("RestrictionGroup"),
		files: opts.Files, insecure: opts.Insecure,
	}
	if c.Alias != "" && !IsAlias(c.Alias) {
		k.bad("/Alias", "must be 1 to 128 letters, digits, _ or -")
	}
	k.kind(o)
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	if c.Method != "" && !slices.Contains(methods, c.Method) {
		k.bad("/Method", "must be one of %s", strings.Join(methods, ", "))
	}
	encoded := o.flag("EncodeEndpoint")
	if c.Endpoint != "" {
		c.target = k.endpoint("/Endpoint", c.Endpoint, encoded, opts)
	}
	headers, at := o.take("Headers")
	c.headers = k.headers(at, headers)
	mappings, at := o.take("RequestMapping")
	c.request = k.requestMapping(at, mappings)
	answers, at := o.take("ResponseMapping")
	c.response = k.responseMapping(at, answers)
	body, at := o.take("Body")
	c.setBody(k, at, body)
	if s := o.text("Credentials"); s != "" {
		c.certificate = k.secret("/Credentials", s, secret.ForCertificate)
	}
	c.Timeout = time.Duration(o.number("TimeoutMs", int(defaultTimeout/time.Millisecond), 50, 30_000)) * time.Millisecond
	c.timed = o.has("TimeoutMs")
	if o.has("Retry") {
		c.retries = k.retry(o.take("Retry"))
	}
	o.done()
	k.declared(c)
	c.secrets = c.listSecrets()
	return c
}

// kind takes the types that are called over HTTP. Where calls leave from is for the
// deployment to say, so that both are one.
func (k *checker) kind(o *object) {
	switch kind := o.text("Type"); kind {
	case "", "api-connector", "private-api-connector":
	case "private-api-connecter": // the documentation's own slip
		k.warn("/Type", "is taken for private-api-connector")
	default:
		k.bad("/Type", "must be api-connector or private-api-connector")
	}
}

// setBody takes the constant part of the body.
func (c *Connector) setBody(k *checker, at string, v any) {
	mapped := slices.ContainsFunc(c.request, func(m mapping) bool { return m.kind == toBody })
	bodyless := c.Method == http.MethodGet || c.Method == http.MethodHead
	switch v.(type) {
	case nil, map[string]any, []any, string:
	default:
		k.bad(at, "must be an object, a list or a string")
		return
	}
	if text, ok := v.(string); ok && (mapped || isRef(text)) {
		k.bad(at, "must be an object or a list, for something in it to be a secret, or to be mapped")
		return
	}
	if bodyless && (mapped || !isEmpty(v)) {
		k.bad(at, "%s has no body: leave it out, and requestBody mappings with it", c.Method)
		return
	}
	c.body = k.refs(at, clone(v))
	c.hasBody = !bodyless && (v != nil || mapped)
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return v == nil || v == ""
}

// refs puts a [ref] where a string in v names a secret.
func (k *checker) refs(at string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range sortedNames(v) {
			v[name] = k.refs(pointer(at, name), v[name])
		}
	case []any:
		for i := range v {
			v[i] = k.refs(pointer(at, itoa(i)), v[i])
		}
	case string:
		if isRef(v) {
			return k.secret(at, v, secret.ForText)
		}
	}
	return v
}

func (k *checker) retry(v any, at string) int {
	o := k.object(at, v)
	n := o.number("Max", 0, 0, maxRetries)
	on, at := o.list("On")
	for i, word := range on {
		if word != "connect" {
			k.bad(pointer(at, itoa(i)), `must be "connect": what may have been sent is not sent again`)
		}
	}
	o.done()
	return n
}

// declared holds what has holes to the entries that fill them.
func (k *checker) declared(c *Connector) {
	inHeaders := []string{}
	for _, h := range c.headers {
		inHeaders = append(inHeaders, append(h.name.names(), h.value.names()...)...)
	}
	for _, part := range []struct {
		at, kind string
		names    []string
	}{{"/Endpoint", toURL, c.target.names()}, {"/Headers", toHeader, inHeaders}} {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(part.names))) {
			if !slices.ContainsFunc(c.request, func(m mapping) bool { return m.kind == part.kind && m.parameter == name }) {
				k.bad(part.at, "no entry of RequestMapping has the type %s and the requestParameter %q", part.kind, name)
			}
		}
		for _, m := range c.request {
			if m.kind == part.kind && !slices.Contains(part.names, m.parameter) {
				k.warn(pointer("/RequestMapping", m.name), "fills nothing: there is no ${%s} in %s", m.parameter, part.at[1:])
			}
		}
	}
	authorized := slices.ContainsFunc(c.headers, func(h header) bool { return strings.EqualFold(h.name.fill(nil, asIs), "Authorization") })
	if i := slices.IndexFunc(c.request, func(m mapping) bool { return m.kind == toBasic }); i >= 0 && authorized {
		k.bad(pointer("/RequestMapping", c.request[i].name), "would write Authorization, which Headers has")
	}
}

// Revision changes with what the document says, and with nothing else.
func (c *Connector) Revision() string { return c.revision }

// Secrets lists the names of the secrets that a call needs, as the document has them,
// each once.
func (c *Connector) Secrets() []string {
	var out []string
	for _, r := range c.secrets {
		out = append(out, string(r))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *Connector) listSecrets() []ref {
	var out []ref
	for _, h := range c.headers {
		out = append(out, h.secret)
	}
	for _, m := range c.request {
		out = append(out, m.secret)
	}
	out = append(append(out, c.certificate), refsIn(c.body)...)
	return slices.DeleteFunc(out, func(r ref) bool { return r == "" })
}

func refsIn(v any) (out []ref) {
	if r, ok := v.(ref); ok {
		return []ref{r}
	}
	for child := range children(v) {
		out = append(out, refsIn(child)...)
	}
	return out
}
