package app

import "testing"

func TestListsOrigin(t *testing.T) {
	t.Parallel()
	list := []string{"https://www.example.com", "http://localhost:*", "https://127.0.0.1:*", "http://[::1]:*"}
	for origin, want := range map[string]bool{
		"https://www.example.com":      true,
		"https://www.example.com:8443": false,
		"http://www.example.com":       false,
		"http://localhost":             true,
		"http://localhost:3000":        true,
		"https://localhost:3000":       false,
		"https://127.0.0.1:8443":       true,
		"http://127.0.0.1:8443":        false,
		"http://[::1]:8080":            true,
		"http://localhost:*":           true, // no browser sends it
		"http://localhost.evil:80":     false,
		"http://localhost@evil:80":     false,
		"http://localhost:80/":         false,
		"http://LOCALHOST:80":          false,
		"null":                         false,
		"":                             false,
	} {
		if got := ListsOrigin(list, origin); got != want {
			t.Errorf("ListsOrigin(%q) = %t, want %t", origin, got, want)
		}
	}
	if ListsOrigin([]string{"http://example.com:*"}, "http://example.com:80") {
		t.Error("any port of another machine is listed")
	}
}

func TestWildOrigin(t *testing.T) {
	t.Parallel()
	for o, want := range map[string]bool{
		"http://localhost:*": true, "https://127.0.0.1:*": true, "http://[::1]:*": true,
		"http://example.com:*": false, "http://localhost": false, "http://localhost:80:*": false,
		"http://*:*": false, "localhost:*": false, ":*": false, "ftp://localhost:*": false,
	} {
		if got := wildOrigin(o); got != want {
			t.Errorf("wildOrigin(%q) = %t, want %t", o, got, want)
		}
	}
}
