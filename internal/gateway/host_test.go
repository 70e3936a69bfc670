package gateway

import "testing"

func TestHostOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"":                 {"", "80"},
		"Example.COM":      {"example.com", "80"},
		"example.com:8000": {"example.com", "8000"},
		"example.com.":     {"example.com", "80"},
		"example.com.:1":   {"example.com", "1"},
		"[::1]:8443":       {"[::1]", "8443"},
		"[::1]":            {"[::1]", "80"},
		"10.0.0.1:1":       {"10.0.0.1", "1"},
	} {
		if name, port := hostOf(in, false); [2]string{name, port} != want {
			t.Errorf("hostOf(%q) = %q, %q; want %q", in, name, port, want)
		}
	}
	if _, port := hostOf("h", true); port != "443" {
		t.Errorf("the port of https is %q", port)
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]hostRule{
		"Example.com":       {wholeHost, "example.com", ""},
		"example.com:8443":  {wholeHost, "example.com", "8443"},
		"*.example.com":     {hostEnds, ".example.com", ""},
		"*.example.com:443": {hostEnds, ".example.com", "443"},
		"example.*":         {hostBegins, "example.", ""},
		"example.*:80":      {hostBegins, "example.", "80"},
		"10.0.0.1":          {wholeHost, "10.0.0.1", ""},
		"[::1]:80":          {wholeHost, "[::1]", "80"},
		"a_b":               {wholeHost, "a_b", ""},
	} {
		if got, ok := parseHost(in); !ok || got != want {
			t.Errorf("parseHost(%q) = %+v, %v; want %+v", in, got, ok, want)
		}
	}
	for _, in := range []string{
		"", "*", "*.", ".*", "*.a.*", "a.*.b", "*a.b", "a*", "a..b", ".a", "a.", "-a", "a-", "a b", "a/b", "a:", "a:b", "a:123456",
		"::1", "[::1", "[10.0.0.1]", "a\x10b", "a,b", "é",
	} {
		if got, ok := parseHost(in); ok {
			t.Errorf("parseHost(%q) = %+v, want none", in, got)
		}
	}
}

// A request's host is never taken for another one that a rule is not for.
func FuzzHostRule(f *testing.F) {
	for _, rule := range []string{"example.com", "*.example.com", "example.*", "example.com:80"} {
		for _, host := range []string{"example.com", "x.example.com:80", "example.com.evil", "EXAMPLE.com.", "[::1]:80"} {
			f.Add(rule, host)
		}
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		rule, ok := parseHost(text)
		if !ok {
			return
		}
		name, port := hostOf(host, false)
		if got, want := rule.matches(name, port), naiveHost(text, name, port); got != want {
			t.Errorf("rule %q, host %q (%s, %s): %v, want %v", text, host, name, port, got, want)
		}
	})
}
