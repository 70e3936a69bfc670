package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// Flags and variables reach what the file does, but for what is in lists of mappings.
func TestLeaves(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, l := range leavesOf(Default()) {
		paths = append(paths, l.path)
	}
	for _, want := range []string{"organization", "doors", "listen.admin", "keys.access.rotation", "keys.sts.algorithms", "limits.sts_per_ip", "devices.sets", "gateway.cache"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s cannot be set", want)
		}
	}
	for _, p := range paths {
		if strings.HasPrefix(p, "gateway.services") || strings.HasPrefix(p, "gateway.consumers") {
			t.Errorf("%s can be set, and should not", p)
		}
	}
}

// Two members with one variable could not both be set.
func TestVariablesDiffer(t *testing.T) {
	t.Parallel()
	owner := map[string]string{}
	for _, l := range leavesOf(Default()) {
		v := variable(l.path)
		if owner[v] != "" {
			t.Errorf("%s and %s share %s", owner[v], l.path, v)
		}
		if other(v) {
			t.Errorf("%s would be taken for something else", v)
		}
		owner[v] = l.path
	}
}

func TestLeafSet(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, text string
		want       string // what is printed, or a part of the error if it starts with "!"
	}{
		"word":              {"organization", "acme", "acme"},
		"list":              {"doors", "admit,issue", "[admit issue]"},
		"list with blanks":  {"doors", " admit , issue ", "[admit issue]"},
		"list of one":       {"doors", "admit", "[admit]"},
		"empty list":        {"doors", "", "[]"},
		"not in enum":       {"doors", "admit,out", "!must be issue, admit or carry"},
		"nearly in enum":    {"log.level", "inof", `!did you mean "info"?`},
		"algorithm":         {"keys.access.algorithms", "EdDSA,RS256", "[EdDSA RS256]"},
		"unknown algorithm": {"keys.access.algorithms", "HS256", "!must be RS256"},
		"bad element":       {"trusted_proxies", "10.0.0.0/8,", "!each of the list"},
		"bad word":          {"limits.sts_per_ip", "x", "!must be a rate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := leavesOf(Default())
			l := all[slices.IndexFunc(all, func(l leaf) bool { return l.path == tc.path })]
			before := reflect.ValueOf(l.value.Interface())
			err := l.set(tc.text)
			if part, refused := strings.CutPrefix(tc.want, "!"); refused {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("set() error = %v, want %q", err, part)
				}
				if !reflect.DeepEqual(before.Interface(), l.value.Interface()) {
					t.Errorf("a refused text changed the member to %v", l.value)
				}
				return
			}
			if got := strings.ReplaceAll(formatList(l.value), ",", ""); err != nil || got != tc.want {
				t.Errorf("set() = %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func formatList(v reflect.Value) string {
	if v.Kind() != reflect.Slice {
		return formatScalar(v)
	}
	var words []string
	for i := range v.Len() {
		words = append(words, formatScalar(v.Index(i)))
	}
	return "[" + strings.Join(words, " ") + "]"
}

func TestProblem(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Problem{
		"a.yaml:1:2: log.level: bad": {Source: "a.yaml", Line: 1, Column: 2, Path: "log.level", Msg: "bad"},
		"CARNET_X: bad":              {Source: "CARNET_X", Msg: "bad"},
		"issuer: bad":                {Path: "issuer", Msg: "bad"},
		"bad":                        {Msg: "bad"},
	} {
		if got := p.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
		if public := fault.Public(&p); public.Kind != fault.Invalid || public.Field != p.Path || public.Msg != "bad" {
			t.Errorf("%s: the caller sees %+v", want, public)
		}
	}
}

func TestJoinProblemsOrder(t *testing.T) {
	t.Parallel()
	file := func(line, column int) *Problem { return &Problem{Source: "f", Line: line, Column: column, Msg: "m"} }
	got := joinProblems([]*Problem{file(12, 1), {Source: "CARNET_B", Msg: "m"}, file(2, 9), {Source: "--a", Msg: "m"}, file(2, 3)}).Error()
	if diff := cmp.Diff("--a: m\nCARNET_B: m\nf:2:3: m\nf:2:9: m\nf:12:1: m", got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		path, top string
		want      bool
	}{
		{"keys.access.rotation", "keys.access", true},
		{"keys.access", "keys.access", true},
		{"doors[1]", "doors", true},
		{"anything", "", true},
		{"keys.access2", "keys.access", false},
		{"keys", "keys.access", false},
	} {
		if got := within(tc.path, tc.top); got != tc.want {
			t.Errorf("within(%q, %q) = %t", tc.path, tc.top, got)
		}
	}
	for path, want := range map[string]string{"a.b[0].c": "a.b[0]", "a.b[0]": "a.b", "a": "", "": ""} {
		if got := parent(path); got != want {
			t.Errorf("parent(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestValidateWithoutAFile(t *testing.T) {
	t.Parallel()
	c := Default()
	c.complete()
	if err := c.Validate(nil); err != nil {
		t.Errorf("Validate() = %v, want nil for the defaults", err)
	}
	c.Data, c.Doors, c.PollInterval = "", nil, 0
	got := map[string]bool{}
	for _, err := range flatten(c.Validate(nil)) {
		got[fault.Public(err).Field] = true
	}
	if diff := cmp.Diff(map[string]bool{"data": true, "doors": true, "poll_interval": true}, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
