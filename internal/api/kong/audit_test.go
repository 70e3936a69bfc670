package kong

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/audit/audittest"
	"github.com/carnetproject/carnet/internal/fault"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	var kept audittest.Store
	log, lines := audittest.New(t, &kept, audit.Config{})
	n.admin.c.Audit, n.admin.c.ClientAddr = log, func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
	idOf := func(d map[string]any) string { return d["id"].(string) }

	ann := idOf(n.must(201, "POST", "/consumers", map[string]any{"username": "ann"}))
	n.must(200, "PATCH", "/consumers/ann", map[string]any{"custom_id": "7"})
	cred := idOf(n.must(201, "POST", "/consumers/ann/jwt", map[string]any{"key": "k1", "secret": "s3cret-of-ann"}))
	n.must(200, "PATCH", "/consumers/ann/jwt/k1", map[string]any{"secret": "another-s3cret"})
	n.must(201, "POST", "/consumers/ann/acls", map[string]any{"group": "staff"})
	service := idOf(n.must(201, "POST", "/services", map[string]any{"name": "s", "host": "h"}))
	n.must(200, "PUT", "/services/s", map[string]any{"host": "other"})
	n.must(204, "DELETE", "/services/s", nil)
	n.must(204, "DELETE", "/consumers/ann/jwt/k1", nil)
	n.must(204, "DELETE", "/consumers/ann", nil)
	n.must(200, "GET", "/consumers", nil) // changes nothing, as what is refused
	n.ask("POST", "/services", map[string]any{"name": "s"})

	var got []string
	for _, line := range lines() {
		line = strings.NewReplacer(ann, "ANN", cred, "CRED", service, "SERVICE").Replace(line)
		got = append(got, strings.TrimPrefix(line, "admin:kong "))
		if strings.Contains(line, "s3cret") {
			t.Errorf("%q shows a secret", line)
		}
	}
	want := []string{
		"consumer.add ANN ok 192.0.2.1 kind=consumer",
		"consumer.edit ANN ok 192.0.2.1 kind=consumer",
		"credential.add CRED ok 192.0.2.1 kind=jwt of=ANN",
		"credential.edit CRED ok 192.0.2.1 kind=jwt of=ANN",
		"consumer.edit ANN ok 192.0.2.1 kind=acl of=ANN",
		"entity.add SERVICE ok 192.0.2.1 kind=service",
		"entity.edit SERVICE ok 192.0.2.1 kind=service",
		"entity.remove s ok 192.0.2.1 kind=service",
		"credential.remove k1 ok 192.0.2.1 kind=jwt of=ANN",
		"consumer.remove ann ok 192.0.2.1 kind=consumer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}

	kept.Fail(fault.New(fault.Unavailable, "the store is away"))
	if a := n.ask("POST", "/consumers", map[string]any{"username": "bob"}); a.status < 500 {
		t.Errorf("a change that is not recorded is answered %d", a.status)
	}
	n.must(200, "GET", "/consumers/bob", nil)
}
