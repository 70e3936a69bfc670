package redis

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
	"github.com/carnetproject/carnet/internal/limit"
)

// TestRights: the user that docs/scale-out.md has operators make may do all that a node
// wants of Redis, and nothing is tried that it may not do, but for one look for a cluster.
func TestRights(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../../docs/scale-out.md")
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(docs), "redis-cli ")
	command, _, found := strings.Cut(command, "\n```")
	if !found {
		t.Fatal("docs/scale-out.md makes no user")
	}
	server := redistest.Start(t)
	command = strings.NewReplacer("\\\n", "", "'", "").Replace(command)
	server.Do(command)
	url := strings.Replace(server.URL(), "redis://", "redis://carnet:secret@", 1)
	a, b := node(t, url, "carnet:x"), node(t, url, "carnet:x")
	reached(t, a)
	defer a.Subscribe("other", func([]byte) {})()
	arrives(t, a, b, "s")
	if err := a.client.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	counters := NewCounters(a.client, "carnet:x")
	rule := &limit.Rule{Sliding: true, Quotas: limit.Quotas{limit.Minute: 1}}
	for _, want := range []bool{true, false} {
		usage, at, err := counters.Take(t.Context(), limit.NewID("ann"), rule)
		if err != nil || usage.OK != want {
			t.Fatalf("Take() = %v, %v, want %t", usage.OK, err, want)
		}
		mark := limit.Mark{ID: limit.NewID("bob"), Period: limit.Minute, Until: uint32(at.Add(time.Minute).Unix())}
		if _, _, err := counters.Add(t.Context(), []limit.Delta{{Mark: mark, N: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := counters.Add(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, entry := range strings.Split(server.Do("ACL LOG"), "\r\nobject\r\n")[1:] {
		if what := strings.Split(entry, "\r\n")[1]; what != "cluster|slots" {
			t.Errorf("it may not do %s", what)
		}
	}
}
