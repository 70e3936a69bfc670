package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

// Input is what a call is made of: an object, such as the context of a conversation.
type Input struct {
	root any
	bare bool // null is no value
}

// WithoutNull is the input for who takes a null, where an entry looks for a value, for
// none: the entry has its default, is left out, or fails.
func (in Input) WithoutNull() Input { return Input{in.root, true} }

// ParseInput reads an input, strictly: one JSON object in which no member stands twice.
// Errors repeat no value.
func ParseInput(doc []byte) (Input, error) {
	v, err := decode(doc)
	if err != nil {
		return Input{}, err
	}
	if _, ok := v.(map[string]any); !ok {
		return Input{}, fault.New(fault.Invalid, "the input must be a JSON object")
	}
	return Input{root: v}, nil
}

// Request is what a call would send, with secrets and files by their names.
type Request struct {
	Method string
	URL    string

	header  []field
	body    any
	hasBody bool
	mapped  bool // the whole body is what an entry has written
	basic   ref
	files   fetched // nil: not fetched yet
}

// field is a header of a request. A secret's value is not in Value.
type field struct {
	Name, Value string
	secret      ref
}

// Prepare makes the request for an input. The error names the entry of the mapping at
// fault, and no value.
func (c *Connector) Prepare(in Input) (Request, error) {
	r := Request{Method: c.Method, body: clone(c.body), hasBody: c.hasBody}
	inURL, inHeaders := map[string]string{}, map[string]string{}
	var written []place
	for i := range c.request {
		m := &c.request[i]
		if m.kind == toBasic {
			r.basic = m.secret
			continue
		}
		v, ok, err := m.value(in)
		switch {
		case err != nil:
		case !ok:
			continue
		case m.kind == toBody:
			if m.encoded {
				v, err = c.file(v)
			}
			if err == nil {
				err = r.write(m, in, v, &written)
			}
		case m.kind == toURL:
			err = setText(inURL, m.parameter, v)
		default:
			err = setText(inHeaders, m.parameter, v)
		}
		if err != nil {
			return Request{}, fmt.Errorf("%s %s: %w", m.kind, m.name, err)
		}
	}
	var err error
	if r.URL, err = c.target.fill(inURL); err != nil {
		return Request{}, fmt.Errorf("endpoint: %w", err)
	}
	if r.header, err = c.fields(inHeaders); err != nil {
		return Request{}, err
	}
	if r.hasBody && r.body == nil && !r.mapped {
		r.body = map[string]any{}
	}
	_, err = r.encodeBody(byName)
	return r, err
}

// write puts v into the body, where no other entry has written.
func (r *Request) write(m *mapping, in Input, v any, written *[]place) error {
	to, err := m.to.bind(in.root)
	if err != nil {
		return err
	}
	for _, other := range *written {
		if to.overlaps(other) {
			return errors.New("writes where another entry has written")
		}
	}
	*written = append(*written, to)
	r.mapped = r.mapped || len(to) == 0
	r.body, err = to.put(r.body, v)
	return err
}

func setText(values map[string]string, name string, v any) error {
	text, ok := textOf(v)
	if !ok {
		return errors.New("must be a string, a number or a boolean")
	}
	values[name] = text
	return nil
}

func (c *Connector) fields(values map[string]string) ([]field, error) {
	var out []field
	seen := map[string]bool{}
	for _, h := range c.headers {
		f, ok, bad := h.fill(values)
		if bad == "" && ok && seen[strings.ToLower(f.Name)] {
			bad = "a header would be there twice"
		}
		if bad != "" {
			return nil, errors.New("headers: " + bad)
		}
		if ok {
			out = append(out, f)
			seen[strings.ToLower(f.Name)] = true
		}
	}
	if c.hasBody && !seen["content-type"] {
		out = append(out, field{Name: "Content-Type", Value: "application/json"})
	}
	return out, nil
}

// contentType is that of the body, without parameters.
func (r *Request) contentType() string {
	for _, f := range r.header {
		if strings.EqualFold(f.Name, "Content-Type") {
			kind, _, _ := mime.ParseMediaType(f.Value)
			return kind
		}
	}
	return ""
}

// text is a body that is sent as it stands: the document's own, and where the request
// does not say that it is JSON, a value's.
func (r *Request) text() (text string, ok bool) {
	kind := r.contentType()
	if r.mapped && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
		return "", false
	}
	text, ok = r.body.(string)
	return text, ok
}

// byName shows what is named by its name.
func byName(n named) (string, error) { return n.name(), nil }

// encodeBody writes the body, with what resolve says for what is named; nil if there is none.
func (r *Request) encodeBody(resolve func(named) (string, error)) ([]byte, error) {
	if !r.hasBody {
		return nil, nil
	}
	if text, ok := r.text(); ok {
		return []byte(text), nil
	}
	v, err := replaceNamed(clone(r.body), resolve)
	if err != nil {
		return nil, err
	}
	if r.contentType() != "application/x-www-form-urlencoded" {
		return wire.JSON(v)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("body: a form must be an object")
	}
	form := url.Values{}
	for name, member := range object {
		text, ok := textOf(member)
		if !ok {
			return nil, errors.New("body: a form has strings, numbers and booleans alone")
		}
		form.Set(name, text)
	}
	return []byte(form.Encode()), nil
}

func replaceNamed(v any, resolve func(named) (string, error)) (_ any, err error) {
	switch v := v.(type) {
	case named:
		return resolve(v)
	case map[string]any:
		for name, member := range v {
			if v[name], err = replaceNamed(member, resolve); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, element := range v {
			if v[i], err = replaceNamed(element, resolve); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// MarshalJSON shows the request to an operator, with secrets and files by their names.
func (r Request) MarshalJSON() ([]byte, error) {
	shown := struct {
		Method  string            `json:"method"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body,omitempty"`
	}{r.Method, r.URL, map[string]string{}, nil}
	for _, f := range r.header {
		shown.Headers[f.Name] = f.Value
		if f.secret != "" {
			shown.Headers[f.Name] = string(f.secret)
		}
	}
	if r.basic != "" {
		shown.Headers["Authorization"] = "Basic " + string(r.basic)
	}
	body, err := r.encodeBody(byName)
	if err != nil {
		return nil, err
	}
	if _, isText := r.text(); body != nil && (isText || !json.Valid(body)) {
		body, err = wire.JSON(string(body))
	}
	shown.Body = body
	if err != nil {
		return nil, err
	}
	return wire.JSON(shown)
}

// httpHeader is the header as net/http has it, without secrets.
func (r *Request) httpHeader() http.Header {
	h := http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"Carnet"}}
	for _, f := range r.header {
		h[f.Name] = []string{f.Value}
	}
	return h
}

func itoa(i int) string { return strconv.Itoa(i) }
