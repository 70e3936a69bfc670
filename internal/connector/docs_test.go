package connector

import (
	"os"
	"strings"
	"testing"
)

// TestManual holds the documents of the manual to what is understood.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(manual), "```json\n")[1:]
	if len(blocks) != 3 {
		t.Fatalf("docs/connectors.md has %d documents, want two connectors and a group", len(blocks))
	}
	doc, _, _ := strings.Cut(blocks[0], "```")
	c := mustParse(t, []byte(strings.ReplaceAll(doc, "::default:", "::acme:")))
	if _, err := c.Prepare(inputOf(t, `{"secureTokenForUser":"t0ken-of-ann"}`)); err != nil {
		t.Error(err)
	}
	doc, _, _ = strings.Cut(blocks[1], "```")
	mustGroup(t, doc)
	doc, _, _ = strings.Cut(blocks[2], "```")
	if _, err := mustParse(t, []byte(doc)).Prepare(inputOf(t, `{"clientId":"app_1","cookie":{"sid":"x"},"ip":"192.0.2.1"}`)); err != nil {
		t.Error(err)
	}
	for _, code := range []Code{
		MappingError, Restricted, BreakerOpen, SecretError, SSRFBlocked, DNSError, ConnectError, TLSError, Timeout,
		HTTPError, RedirectRefused, ResponseTooLarge, ResponseInvalid,
	} {
		if !strings.Contains(string(manual), "`"+string(code)+"`") {
			t.Errorf("docs/connectors.md does not have the code %s", code)
		}
	}
}
