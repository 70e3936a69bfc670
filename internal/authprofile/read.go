package authprofile

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// reader takes members out of a document by their JSON pointers, and keeps what is wrong.
type reader struct {
	opts    Options
	members map[string]json.RawMessage
	known   map[string]bool
	faults  []error
}

func newReader(doc []byte, opts Options) (*reader, error) {
	r := &reader{opts: opts, members: map[string]json.RawMessage{}, known: map[string]bool{}}
	if !r.open("", doc) {
		return nil, fault.New(fault.Invalid, "must be one JSON object")
	}
	return r, nil
}

// open takes over the members of an object.
func (r *reader) open(at string, object []byte) bool {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil || members == nil {
		return false
	}
	for name, v := range members {
		r.members[at+"/"+name] = v
	}
	return true
}

// enter is open for a member that must be an object.
func (r *reader) enter(at string) {
	r.known[at] = true
	if !r.open(at, r.members[at]) {
		r.bad(at, "must be an object")
	}
}

func (r *reader) bad(at, msg string) { r.faults = append(r.faults, fault.BadField(at, msg)) }

func (r *reader) fault(at string, err error) { r.bad(at, fault.Public(err).Msg) }

// err joins what is wrong, and what nobody has asked for.
func (r *reader) err() error {
	for _, at := range slices.Sorted(maps.Keys(r.members)) {
		if !r.known[at] {
			r.bad(at, "is not known here")
		}
	}
	return errors.Join(r.faults...)
}

// member is false if there is none, or it is not what v takes.
func (r *reader) member(at string, v any, want string) bool {
	r.known[at] = true
	raw, ok := r.members[at]
	if !ok {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil || string(raw) == "null" {
		r.bad(at, "must be "+want)
		return false
	}
	return true
}

func (r *reader) text(at string) (s string) {
	r.member(at, &s, "a string")
	return s
}

func (r *reader) need(at string) string {
	s := r.text(at)
	if s == "" {
		r.bad(at, "is needed")
	}
	return s
}

// url is an absolute address without a fragment; empty if there is none.
func (r *reader) url(at string, needed bool) string {
	s := r.text(at)
	if s == "" {
		if needed {
			r.bad(at, "is needed")
		}
		return ""
	}
	u, err := url.Parse(s)
	plain := err == nil && u.Scheme == "http" && r.opts.Insecure
	if err != nil || u.Scheme != "https" && !plain || u.Hostname() == "" || u.User != nil || strings.Contains(s, "#") {
		r.bad(at, "must be an https address with a host, and without a user and a fragment")
		return ""
	}
	return s
}

// scopes reads a list, or a string with spaces in between (RFC 6749 section 3.3).
func (r *reader) scopes(at string) []string {
	const want = "a list of scopes, or a string of them with spaces in between"
	var list []string
	if raw := r.members[at]; strings.HasPrefix(string(raw), `"`) {
		list = strings.Fields(r.text(at))
	} else {
		r.member(at, &list, want)
	}
	bad := func(s string) bool {
		return s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
	}
	if len(list) > maxScopes || slices.ContainsFunc(list, bad) {
		r.bad(at, "must be "+want)
	}
	return list
}

// choice tells whether the member is the second of the two, instead of the first or none.
func (r *reader) choice(at, first, second string) bool {
	s := r.text(at)
	if s != "" && s != first && s != second {
		r.bad(at, fmt.Sprintf("must be %q or %q", first, second))
	}
	return s == second
}

func (r *reader) number(at string, least, most int) (n int, ok bool) {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	if !r.member(at, &n, want) {
		return 0, false
	}
	if n < least || n > most {
		r.bad(at, "must be "+want)
	}
	return n, true
}
