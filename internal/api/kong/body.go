package kong

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// What a body may be.
const (
	maxBody    = 1 << 20
	maxMembers = 1000 // of a form
	maxDepth   = 8    // of the names of a form: config.a.b…
)

// readBody is the document that a request carries: JSON, or a form, whose values
// become what their members want. Without a body it is empty.
func readBody(w http.ResponseWriter, r *http.Request) (Document, error) {
	media := httpx.MediaType(r)
	if media == "" && r.Header.Get("Content-Type") == "" && r.ContentLength == 0 {
		return Document{}, nil
	}
	switch media {
	case "application/json", "application/x-www-form-urlencoded":
		body, err := httpx.ReadBody(w, r, maxBody)
		if err != nil {
			return nil, err
		}
		if media == "application/json" {
			return parseJSON(body)
		}
		return parseForm(string(body))
	case "multipart/form-data":
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		parts, err := r.MultipartReader()
		if err != nil {
			return nil, errForm
		}
		return parseParts(parts)
	default:
		return nil, errMediaType
	}
}

func parseJSON(body []byte) (Document, error) {
	var v any
	if err := httpx.DecodeJSON(body, &v); err != nil {
		return nil, errJSON
	}
	d, ok := normal(v).(Document)
	if !ok {
		return nil, errJSON
	}
	return d, nil
}

func parseForm(body string) (Document, error) {
	d := Document{}
	for n, pair := 0, ""; body != ""; n++ {
		pair, body, _ = strings.Cut(body, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || n == maxMembers {
			return nil, errForm
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, errForm
		}
		if err := plant(d, name, value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func parseParts(parts *multipart.Reader) (Document, error) {
	d := Document{}
	for n := 0; ; n++ {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil || n == maxMembers {
			return nil, partError(err)
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return nil, partError(err)
		}
		if err := plant(d, p.FormName(), string(value)); err != nil {
			return nil, err
		}
	}
}

func partError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.Newf(fault.TooLarge, "the body must be at most %d bytes", maxBody)
	}
	return errForm
}

// plant sets a member of a form: config.minute is a member of a record, tags[] and
// tags[1] are elements of a list, and so is a name that comes twice.
func plant(d Document, name, value string) error {
	steps := strings.Split(name, ".")
	if len(steps) > maxDepth {
		return errForm
	}
	for _, step := range steps[:len(steps)-1] {
		if step == "" {
			return errForm
		}
		inner, ok := d[step].(Document)
		if !ok {
			if d[step] != nil {
				return errForm
			}
			inner = Document{}
			d[step] = inner
		}
		d = inner
	}
	last, isElement, ok := elementName(steps[len(steps)-1])
	if !ok {
		return errForm
	}
	switch before := d[last].(type) {
	case nil:
		d[last] = raw(value)
		if isElement {
			d[last] = []any{raw(value)}
		}
	case raw:
		d[last] = []any{before, raw(value)}
	case []any:
		d[last] = append(before, raw(value))
	default:
		return errForm
	}
	return nil
}

// elementName takes the index off a name. Elements stand in the order in which they come.
func elementName(name string) (base string, isElement, ok bool) {
	base, index, isElement := strings.Cut(name, "[")
	if isElement {
		digits, closed := strings.CutSuffix(index, "]")
		if _, err := strconv.ParseUint(digits, 10, 16); !closed || digits != "" && err != nil {
			return "", false, false
		}
	}
	return base, isElement, base != ""
}
