package kong

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestChangesUnderTraffic changes everything that there is while requests come: each is
// answered by a state that was in force, and none fails.
func TestChangesUnderTraffic(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	n.service("steady", "/steady")
	n.must(201, "POST", "/services/steady/plugins", map[string]any{"name": "jwt"})
	n.must(201, "POST", "/consumers", map[string]any{"username": "steady"})
	n.must(201, "POST", "/consumers/steady/jwt", map[string]any{"key": "steady", "secret": "s3cret"})

	const rounds = 6
	changes := map[string]func(i int){
		"services": func(i int) {
			name := fmt.Sprintf("s%d", i)
			n.service(name, "/"+name)
			n.must(201, "POST", "/services/"+name+"/plugins", map[string]any{"name": "rate-limiting", "config": map[string]any{"minute": i + 1}})
			n.must(204, "DELETE", "/routes/"+name+"-route", nil)
			n.must(204, "DELETE", "/services/"+name, nil)
		},
		"plugins": func(i int) {
			made := n.must(201, "POST", "/routes/steady-route/plugins", map[string]any{"name": "acl", "config": map[string]any{"allow": []string{"g"}}})
			id, _ := made["id"].(string)
			n.must(200, "PATCH", "/plugins/"+id, map[string]any{"config": map[string]any{"allow": []string{"g", fmt.Sprintf("g%d", i)}}})
			n.must(204, "DELETE", "/plugins/"+id, nil)
		},
		"groups": func(int) {
			n.must(201, "POST", "/consumers/steady/acls", map[string]any{"group": "g"})
			n.must(204, "DELETE", "/consumers/steady/acls/g", nil)
		},
		"consumers": func(i int) {
			name, key := fmt.Sprintf("c%d", i), fmt.Sprintf("k%d", i)
			n.must(201, "POST", "/consumers", map[string]any{"username": name})
			n.must(201, "POST", "/consumers/"+name+"/jwt", map[string]any{"key": key, "secret": "s3cret"})
			token := hs256(t, key, "s3cret")
			// The acl that comes and goes may refuse it, but its token is good.
			if a := n.call("/steady", token); a.status != 200 && a.status != 403 {
				t.Errorf("a new credential is answered %d %s", a.status, a.text)
			}
			n.must(200, "PATCH", "/consumers/"+name, map[string]any{"username": name + "x"})
			n.must(204, "DELETE", "/consumers/"+name+"x", nil)
			if a := n.call("/steady", token); a.status != 401 {
				t.Errorf("the credential of a deleted consumer is answered %d %s", a.status, a.text)
			}
		},
	}
	var changing, calling sync.WaitGroup
	var done atomic.Bool
	var calls atomic.Int64
	token := hs256(t, "steady", "s3cret")
	for range 4 {
		calling.Go(func() {
			for !done.Load() {
				a := n.call("/steady", token)
				if !slices.Contains([]int{200, 403}, a.status) {
					t.Errorf("a good token is answered %d %s", a.status, a.text)
					return
				}
				if a := n.call("/steady", ""); a.status != 401 {
					t.Errorf("no token is answered %d %s", a.status, a.text)
					return
				}
				calls.Add(2)
			}
		})
	}
	for _, change := range changes {
		changing.Go(func() {
			for i := range rounds {
				change(i)
			}
		})
	}
	changing.Wait()
	done.Store(true)
	calling.Wait()
	if calls.Load() < 10 {
		t.Errorf("%d calls came through meanwhile: nothing was shown", calls.Load())
	}
}
