package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
)

// maxDepth is how deep a JSON body may nest.
const maxDepth = 32

// ReadBody reads at most limit bytes; a longer body is [fault.TooLarge].
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.Newf(fault.TooLarge, "the body must be at most %d bytes", limit)
	}
	return nil, fault.Wrap(fault.Invalid, "the body ended early", err)
}

// MediaType is the request's content type without parameters, in lower case;
// empty if there is none or it is malformed.
func MediaType(r *http.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// ReadJSON reads a body of at most limit bytes that must be declared and formed
// as JSON, and decodes it as [DecodeJSON] does.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	if media := MediaType(r); media != "application/json" && !strings.HasSuffix(media, "+json") {
		return fault.New(fault.UnsupportedMedia, "the content type must be application/json")
	}
	body, err := ReadBody(w, r, limit)
	if err != nil {
		return err
	}
	return DecodeJSON(body, into)
}

// DecodeJSON decodes exactly one JSON value and nothing behind it. Refused are
// invalid UTF-8, nesting beyond 32, and members of one object whose names differ
// in letter case at most: which of them counts would be a matter of luck.
// Members that into does not know are ignored, as OAuth wants it;
// [DecodeStrictJSON] refuses them.
func DecodeJSON(data []byte, into any) error { return decodeJSON(data, into, false) }

// DecodeStrictJSON is [DecodeJSON] that refuses members unknown to into.
func DecodeStrictJSON(data []byte, into any) error { return decodeJSON(data, into, true) }

func decodeJSON(data []byte, into any, strict bool) error {
	if !utf8.Valid(data) {
		return fault.New(fault.Invalid, "the body must be UTF-8")
	}
	if !json.Valid(data) {
		return fault.New(fault.Invalid, "the body must be one JSON value")
	}
	walk := json.NewDecoder(bytes.NewReader(data))
	walk.UseNumber() // a number out of range is into's concern
	if err := checkMembers(walk, 0); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if strict {
		d.DisallowUnknownFields()
	}
	return explainJSON(d.Decode(into))
}

// explainJSON turns an error of the decoder into one that names the member.
func explainJSON(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		msg := fmt.Sprintf("must be %s, not a %s", jsonType(e.Type.Kind()), e.Value)
		if e.Field == "" {
			return fault.New(fault.Invalid, "the body "+msg)
		}
		return fault.BadField(e.Field, msg)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fault.BadField(strings.Trim(name, `"`), "is not a member of this request")
	}
	return fault.Wrap(fault.Invalid, "the body is not valid JSON", err)
}

// jsonType is what a client calls a Go type.
func jsonType(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number in range"
	}
}

// checkMembers walks the next value of d, which is known to be valid JSON.
func checkMembers(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return fault.Newf(fault.Invalid, "the body nests deeper than %d levels", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return fault.Wrap(fault.Invalid, "the body is not valid JSON", err)
	}
	open, _ := t.(json.Delim)
	if open == 0 {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return fault.Wrap(fault.Invalid, "the body is not valid JSON", err)
			}
			folded := fold(name.(string)) // a member's name is always a string
			if seen[folded] {
				return fault.BadField(name.(string), "is given twice")
			}
			seen[folded] = true
		}
		if err := checkMembers(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// fold maps names that encoding/json would take for the same field to one.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}
