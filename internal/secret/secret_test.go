package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const value = "correct horse battery staple"

// TestNoWayToPrint tries the ways in which a value gets out by accident, alone and
// inside other values.
func TestNoWayToPrint(t *testing.T) {
	t.Parallel()
	s := FromString(value)
	holder := struct {
		Secret Bytes
		List   []Bytes
		Any    any
	}{s, []Bytes{s}, s}
	var log bytes.Buffer
	for name, print := range map[string]func(any) string{
		"v":      func(x any) string { return fmt.Sprintf("%v", x) },
		"plus":   func(x any) string { return fmt.Sprintf("%+v", x) },
		"sharp":  func(x any) string { return fmt.Sprintf("%#v", x) },
		"s":      func(x any) string { return fmt.Sprintf("%s", x) },
		"q":      func(x any) string { return fmt.Sprintf("%q", x) },
		"x":      func(x any) string { return fmt.Sprintf("%x", x) },
		"d":      func(x any) string { return fmt.Sprintf("%d", x) },
		"print":  func(x any) string { return fmt.Sprint(x) },
		"error":  func(x any) string { return fmt.Errorf("at %v", x).Error() },
		"json":   func(x any) string { b, _ := json.Marshal(x); return string(b) },
		"yaml":   func(x any) string { b, _ := yaml.Marshal(x); return string(b) },
		"slog":   func(x any) string { slog.New(slog.NewTextHandler(&log, nil)).Info("m", "x", x); return log.String() },
		"slog j": func(x any) string { slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "x", x); return log.String() },
	} {
		for _, x := range []any{s, &s, holder, &holder, map[string]any{"k": s}} {
			out := print(x)
			for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprint([]byte(value))} {
				if strings.Contains(out, strings.Trim(form, "[]")) {
					t.Errorf("%s of a %T prints the value: %s", name, x, out)
				}
			}
		}
		if out := print(s); !strings.Contains(out, "[redacted]") {
			t.Errorf("%s = %q, want it to say [redacted]", name, out)
		}
	}
	if string(s.Reveal()) != value {
		t.Error("Reveal() gives another value")
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		a, b Bytes
		want bool
	}{
		"same":          {FromString("a"), New([]byte("a")), true},
		"other":         {FromString("a"), FromString("b"), false},
		"longer":        {FromString("a"), FromString("aa"), false},
		"zero and zero": {Bytes{}, FromString(""), true},
		"zero and some": {Bytes{}, FromString("a"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.a.Equal(tc.b); got != tc.want {
				t.Errorf("Equal() = %t, want %t", got, tc.want)
			}
		})
	}
}
