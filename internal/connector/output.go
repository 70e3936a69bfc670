package connector

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// output is an entry of a document's ResponseMapping.
type output struct {
	name     string
	kind     string // responseBody or responseHeader
	from     *query // of responseBody
	header   string // of responseHeader
	to       place
	required bool
}

func (k *checker) responseMapping(at string, v any) []output {
	var list []output
	for name, o := range k.entries(at, v) {
		out := output{name: name, kind: o.need("type")}
		switch out.kind {
		case fromBody:
			out.from = o.query("responseBodyPath")
		case fromHeader:
			if out.header = o.need("responseHeaderKey"); out.header != "" && !isToken(out.header) {
				k.bad(pointer(o.at, "responseHeaderKey"), "is no name of a header")
			}
		default:
			if out.kind != "" {
				k.bad(pointer(o.at, "type"), "must be %s or %s", fromBody, fromHeader)
			}
			continue
		}
		out.to = o.place("outputPath")
		if out.to.hasParams() {
			k.bad(pointer(o.at, "outputPath"), "must be the same for each answer: without ${name}")
		}
		out.required = o.flag("required")
		o.done()
		for _, other := range list {
			if other.kind == out.kind && out.to != nil && other.to != nil && out.to.overlaps(other.to) {
				k.bad(pointer(o.at, "outputPath"), "writes where %q writes, too", other.name)
			}
		}
		list = append(list, out)
	}
	return list
}

// readsBody tells whether the answer's body has to be read.
func (c *Connector) readsBody() bool {
	for _, o := range c.response {
		if o.kind == fromBody {
			return true
		}
	}
	return false
}

// mapAnswer makes what comes out of an answer. The error names the entry at fault, and
// nothing that the answer has.
func (c *Connector) mapAnswer(body any, head http.Header) (response, headers any, err error) {
	for i := range c.response {
		o := &c.response[i]
		v, err := o.value(body, head)
		if errors.Is(err, errMissing) {
			if o.required {
				return nil, nil, fmt.Errorf("%s %s: the answer does not have it", o.kind, o.name)
			}
			continue
		}
		into := &response
		if o.kind == fromHeader {
			into = &headers
		}
		if err == nil {
			*into, err = o.to.put(*into, v)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", o.kind, o.name, err)
		}
	}
	return response, headers, nil
}

func (o *output) value(body any, head http.Header) (any, error) {
	if o.kind == fromHeader {
		values := head.Values(o.header)
		if len(values) == 0 {
			return nil, errMissing
		}
		return strings.Join(values, ", "), nil
	}
	found, err := o.from.values(body)
	switch {
	case err != nil:
		return nil, err
	case o.from.singular:
		return found[0], nil
	}
	return found, nil
}
