package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		v    any
		want string // "": refused
	}{
		{"a<b>&c\u2028", "\"a<b>&c\\u2028\""},
		{json.RawMessage(`{"html":`), ""},
		{json.RawMessage(`{"html":"<p>&"}`), `{"html":"<p>&"}`},
		{map[string]any{"b": 1, "a": json.Number("9007199254740993")}, `{"a":9007199254740993,"b":1}`},
		{nil, "null"},
		{func() {}, ""},
	} {
		got, err := JSON(tc.v)
		if string(got) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("JSON(%v) = %s, %v; want %s", tc.v, got, err, tc.want)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 1, 30, 0, 7_999_999, time.FixedZone("", 2*3600))
	if got, want := Time(at), "2026-05-31T23:30:00.007Z"; got != want {
		t.Errorf("Time() = %s, want %s", got, want)
	}
}

func TestScopeToken(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"chat": true, "!#[]~": true, "https://a.example/read:all": true, strings.Repeat("a", 300): true,
		"": false, "a b": false, `a"b`: false, `a\b`: false, "a\tb": false, "ü": false, "a\x7f": false, "\xff": false,
	} {
		if got := ScopeToken(s); got != want {
			t.Errorf("ScopeToken(%q) = %t, want %t", s, got, want)
		}
	}
}
