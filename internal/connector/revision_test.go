package connector

import (
	"net/http"
	"testing"
)

// TestRotatedRevision: the revision of a client is that of the secrets that it used last.
func TestRotatedRevision(t *testing.T) {
	t.Parallel()
	accept := "k3y"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != accept {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	v := newVault()
	v.versions = map[string]string{}
	c := client(t, s.URL, `{}`, func(c *Config) { c.Secrets = v })
	put := func(value, version string) {
		v.stale[apiKey], v.versions[apiKey] = value, version
	}
	revisions := map[string]string{}
	step := func(name string, changes bool, act func()) {
		t.Helper()
		before := c.Revision()
		act()
		if now := c.Revision(); (now != before) != changes {
			t.Errorf("%s: %q, then %q, want a change: %t", name, before, now, changes)
		}
		revisions[c.Revision()] = name
	}
	execute := func() {
		if r := c.Execute(t.Context(), call(t)); kind(r) != "ok" {
			t.Errorf("Execute() = %s", kind(r))
		}
	}
	if c.Revision() != c.Connector.Revision() {
		t.Errorf("before a call: %q, want that of the document", c.Revision())
	}
	step("without versions", false, execute)
	step("a version, not used yet", false, func() { put("k3y", "1") })
	step("learnt", true, func() { c.Learn(t.Context()) })
	step("used", false, execute)
	step("rotated, not used yet", false, func() { put("k3y", "2") })
	step("rotated", true, execute)
	step("gone", false, func() {
		delete(v.stale, apiKey)
		if r := c.Execute(t.Context(), call(t)); kind(r) != string(SecretError) {
			t.Errorf("Execute() = %s", kind(r))
		}
		c.Learn(t.Context())
	})
	put("k3y", "2")
	step("rotated while a call runs", true, func() {
		accept, v.fresh, v.bumped = "new", map[string]string{apiKey: "new"}, map[string]string{apiKey: "3"}
		execute()
	})
	if len(revisions) != 4 {
		t.Errorf("revisions %q, want 4", revisions)
	}
	again := client(t, s.URL, `{}`, func(c *Config) { c.Secrets = v })
	if again.Revision() != c.Revision() {
		t.Errorf("what is known makes another revision for another client: %q, %q", again.Revision(), c.Revision())
	}
}

// TestCertificateRevision: a certificate counts, though only connections need it.
func TestCertificateRevision(t *testing.T) {
	t.Parallel()
	const ref = "srn:vault::acme:certificate:client"
	v := newVault()
	v.stale[ref], v.versions = "no certificate", map[string]string{ref: "1"}
	c := client(t, "https://api.example", `{"Credentials":"`+ref+`"}`, func(c *Config) { c.Secrets = v })
	first := c.Revision()
	v.versions[ref] = "2"
	c.Learn(t.Context())
	if c.Revision() == first || v.certificates != 1 {
		t.Errorf("Revision() = %q after %d certificates, was %q", c.Revision(), v.certificates, first)
	}
}
