package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
)

const (
	rotations    = 10
	publishAhead = 2 * time.Second
	tokenLife    = 10 * time.Second // and for how long a key that has stopped signing verifies
	overlap      = 8 * time.Second  // of an app's secrets; no more rotations fit into it than an app has secrets
	// fresh is how old a verifier's keys may be: it and a node's poll of the store, late as
	// it may be on a busy machine, fit into publishAhead.
	fresh = publishAhead / 5
)

// rotating is traffic through an issuing and an admitting node whose keys and secrets rotate.
type rotating struct {
	*node
	edge   *node
	app    string
	secret atomic.Pointer[string]
	seen   atomic.Pointer[published]

	calls, checked atomic.Int64
	mu             sync.Mutex
	tokens         map[string]string // by kid, the first that each key has signed
}

// published is the issuer's keys as a verifier has them that fetched them at a time.
type published struct {
	at   time.Time
	keys carnet.KeySource
}

// TestRotationUnderTraffic rotates the access keys and an app's secret ten times each
// while clients get tokens, call through a gateway beside the issuer and one apart from
// it, and verify with keys that they have fetched before.
func TestRotationUnderTraffic(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	defer traffic.Wait()
	defer stop()
	traffic.Go(func() { r.every(ctx, fresh/4, r.fetch) })
	for range 3 {
		traffic.Go(func() { r.every(ctx, 20*time.Millisecond, r.call) })
	}
	r.wait("busy", func() bool { return r.calls.Load() > 10 || t.Failed() })
	was := map[string]time.Time{} // secrets, by when they end
	for round := range rotations {
		r.carnet("keys", "rotate", "access", "--algorithm", "ES256")
		old := *r.secret.Load()
		r.rotateSecret()
		was[old] = time.Now().Add(overlap)
		r.wait("signing with the new key", func() bool { return r.signers() >= round+2 || t.Failed() })
	}
	for secret, end := range was {
		r.wait("past the overlap", func() bool { return time.Now().After(end.Add(fresh)) })
		if got := r.token(secret); got.status != http.StatusUnauthorized {
			t.Errorf("a secret that has ended is answered with %d", got.status)
		}
	}
	r.refuseRetired()
	if t.Failed() {
		return
	}
	t.Logf("%d calls, %d of their tokens checked with keys fetched before, over %d keys", r.calls.Load(), r.checked.Load(), r.signers())
	if r.checked.Load() == 0 {
		t.Error("no token was checked with keys fetched before it was signed")
	}
	stop()
	traffic.Wait()
	r.refuseRevoked()
}

func newRotating(t *testing.T) *rotating {
	t.Helper()
	shared := []string{
		"CARNET_LIMITS_TOKEN_PER_APP=none", "CARNET_LIMITS_STS_PER_IP=none", "CARNET_LIMITS_STS_PER_APP=none", "CARNET_LIMITS_STS_PER_IDENTITY=none",
		"CARNET_TOKENS_ACCESS_TTL=" + tokenLife.String(), "CARNET_KEYS_ACCESS_VERIFICATION=" + tokenLife.String(),
		"CARNET_KEYS_ACCESS_PUBLISH_AHEAD=" + publishAhead.String(),
	}
	r := &rotating{node: newNode(t, append(shared, "CARNET_DOORS=issue,admit")...), tokens: map[string]string{}}
	r.start()
	r.edge = newNode(t, append(shared, "CARNET_DOORS=admit", "CARNET_ISSUER="+r.public)...)
	file := filepath.Join(r.edge.data, "edge.yaml")
	if err := os.WriteFile(file, []byte(clusterFile), 0o600); err != nil {
		t.Fatal(err)
	}
	r.edge.data = r.data
	r.edge.serve("--config", file)
	r.app = r.demo["CARNET_CLIENT_ID"]
	secret := r.demo["CARNET_CLIENT_SECRET"]
	r.secret.Store(&secret)
	return r
}

// every calls do at intervals until ctx ends or the test has failed.
func (r *rotating) every(ctx context.Context, interval time.Duration, do func() error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !r.t.Failed() {
		if err := do(); err != nil {
			r.t.Error(err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fetch looks at the issuer's keys, as verifiers do now and then.
func (r *rotating) fetch() error {
	at := time.Now()
	doc, err := r.do("GET", r.public+"/.well-known/jwks.json", nil)
	if err != nil {
		return err
	}
	keys, err := carnet.ParseJWKS([]byte(doc.text))
	if err != nil {
		return fmt.Errorf("the keys are not to be read: %w", err)
	}
	r.seen.Store(&published{at, keys})
	return nil
}

// verify checks a token's signature alone.
func (p *published) verify(ctx context.Context, token string) (kid string, err error) {
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: p.keys, Policy: carnet.SignatureOnly()})
	if err != nil {
		return "", err
	}
	t, err := v.Verify(ctx, token)
	if err != nil {
		return "", err
	}
	return t.KeyID(), nil
}

// token asks for an access token of the app.
func (r *rotating) token(secret string) reply {
	got, err := r.do("POST", r.public+"/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {r.app}, "client_secret": {secret},
	})
	if err != nil {
		r.t.Error(err)
	}
	return got
}

// call does what clients do, all of which must go well.
func (r *rotating) call() error {
	before, secret := r.seen.Load(), *r.secret.Load()
	got := r.token(secret)
	if got.status != http.StatusOK {
		return fmt.Errorf("no token during a rotation: %d %s", got.status, got.text)
	}
	token := got.str("access_token")
	if before != nil && time.Since(before.at) < fresh {
		kid, err := before.verify(r.t.Context(), token)
		if err != nil {
			return fmt.Errorf("signed with a key that was not published before: %w", err)
		}
		r.checked.Add(1)
		r.mu.Lock()
		if r.tokens[kid] == "" {
			r.tokens[kid] = token
		}
		r.mu.Unlock()
	}
	for _, gateway := range []string{r.gateway, r.edge.gateway} {
		if answer, err := r.do("GET", gateway+"/demo", nil, "Authorization", bearer(token)); err != nil || answer.status != http.StatusOK {
			return fmt.Errorf("a gateway refuses during a rotation: %d %s %v", answer.status, answer.text, err)
		}
	}
	answer, err := r.do("POST", r.public+"/sts", url.Values{"clientId": {r.app}, "clientSecret": {secret}, "identity": {"ann"}})
	if err != nil || answer.status != http.StatusOK {
		return fmt.Errorf("no session token during a rotation: %d %s %v", answer.status, answer.text, err)
	}
	r.calls.Add(1)
	return nil
}

// signers counts the keys that have signed.
func (r *rotating) signers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tokens)
}

// rotateSecret gives the app a new secret, which clients use when the node knows it.
func (r *rotating) rotateSecret() {
	r.t.Helper()
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(r.carnet("apps", "rotate", r.app, "--overlap", overlap.String(), "--json")), &made); err != nil {
		r.t.Fatal(err)
	}
	r.wait("knowing the new secret", func() bool { return r.token(made.Secret).status == http.StatusOK || r.t.Failed() })
	r.secret.Store(&made.Secret)
}

// keys is the key set as the command line lists it.
func (r *rotating) keys() (keys []struct{ Kid, State string }) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.carnet("keys", "list", "access", "--json")), &keys); err != nil {
		r.t.Fatal(err)
	}
	return keys
}

// refuseRetired waits until all keys but the last have had their time. From then on what
// they signed is refused, whatever its expiry, and what the last one signed is not.
func (r *rotating) refuseRetired() {
	r.t.Helper()
	retired := map[string]bool{}
	r.wait("done with the old keys", func() bool {
		keys := r.keys()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, k := range keys {
			if r.tokens[k.Kid] != "" && k.State == "retired" {
				retired[k.Kid] = true
			}
		}
		return len(retired) == rotations || r.t.Failed()
	})
	at := time.Now()
	r.wait("with the newest keys", func() bool { return r.seen.Load().at.After(at) || r.t.Failed() })
	r.mu.Lock()
	defer r.mu.Unlock()
	for kid, token := range r.tokens {
		_, err := r.seen.Load().verify(r.t.Context(), token)
		if retired[kid] != errors.Is(err, carnet.ErrUnknownKey) {
			r.t.Errorf("key %s: retired %v, and its token: %v", kid, retired[kid], err)
		}
		for _, gateway := range []string{r.gateway, r.edge.gateway} {
			if retired[kid] {
				r.must(http.StatusUnauthorized, "GET", gateway+"/demo", nil, "Authorization", bearer(token))
			}
		}
	}
}

// refuseRevoked revokes the key of a token that is good, which both gateways refuse soon.
func (r *rotating) refuseRevoked() {
	r.t.Helper()
	if err := r.fetch(); err != nil {
		r.t.Fatal(err)
	}
	token := r.token(*r.secret.Load()).str("access_token")
	kid, err := r.seen.Load().verify(r.t.Context(), token)
	if err != nil {
		r.t.Fatal(err)
	}
	r.carnet("keys", "revoke", kid)
	began := time.Now()
	for _, gateway := range []string{r.gateway, r.edge.gateway} {
		r.wait("refusing the revoked key's token", func() bool {
			answer, err := r.do("GET", gateway+"/demo", nil, "Authorization", bearer(token))
			return err == nil && answer.status == http.StatusUnauthorized
		})
	}
	if took := time.Since(began); took > tokenLife/2 {
		r.t.Errorf("refused after %v, which may be because it expired", took)
	}
	if got := r.token(*r.secret.Load()); got.status != http.StatusOK {
		r.t.Errorf("no token after the revocation: %d %s", got.status, got.text)
	}
}
