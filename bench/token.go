package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

// tokenGroup measures client_credentials over HTTP with a key of each kind (RSA of 2048
// bits), beside a handler that only reads the form, signs and answers; and how often the
// node says what it knows of such a token.
func tokenGroup() group {
	return group{[]string{"token/rs256", "token/es256", "token/eddsa", "token/introspect"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureTokens(ctx, dir, report) })
	}}
}

func measureTokens(ctx context.Context, dir string, report func(Result)) error {
	n, err := startNode(ctx, dir, "keys: {access: {algorithms: [ES256, RS256, EdDSA]}}\n")
	if err != nil {
		return err
	}
	defer n.stop()
	for _, alg := range []jose.Algorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		c, err := n.newClient(ctx, alg)
		if err != nil {
			return err
		}
		if err := measureSigning(ctx, n, c, alg, report); err != nil {
			return err
		}
		if alg != jose.ES256 {
			continue
		}
		var token struct {
			Access string `json:"access_token"`
		}
		if err := c.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, &token); err != nil {
			return err
		}
		count, took, err := load(ctx, n.public, c.request("/oauth2/introspect", "token="+token.Access), connections, loadTime)
		if err != nil {
			return err
		}
		report(alone("token/introspect", "req/s", float64(count)/took.Seconds()))
	}
	return nil
}

func measureSigning(ctx context.Context, n *node, c *client, alg jose.Algorithm, report func(Result)) error {
	ref, err := startChild(ctx, "signer", "BENCH_ALG="+string(alg))
	if err != nil {
		return err
	}
	defer ref.stop()
	ours, reference, err := ratesInTurn(ctx, n.public, ref.addr, c.request("/oauth2/token", "grant_type=client_credentials"))
	if err != nil {
		return err
	}
	report(atLeast("token/"+strings.ToLower(string(alg)), "req/s", ours, reference, 0.8))
	return nil
}

// client is an app of a node.
type client struct {
	addr   string
	http   *http.Client
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// newClient registers an app and waits until the node knows it.
func (n *node) newClient(ctx context.Context, alg jose.Algorithm) (*client, error) {
	out, err := n.carnet(ctx, "apps", "add", "bench", "--json", "--access-algorithm", string(alg))
	if err != nil {
		return nil, err
	}
	c := &client{addr: n.public, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	if err := json.Unmarshal([]byte(out), c); err != nil {
		return nil, fmt.Errorf("carnet apps add: %w", err)
	}
	return c, settle(ctx, n.public, c.request("/oauth2/token", "grant_type=client_credentials"))
}

func (c *client) request(path, form string) []byte {
	return request("POST", path, form, "Content-Type", "application/x-www-form-urlencoded",
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.ID+":"+c.Secret)))
}

// post sends a form in the app's name and reads the answer.
func (c *client) post(path string, form url.Values, into any) error {
	form.Set("client_id", c.ID)
	form.Set("client_secret", c.Secret)
	resp, err := c.http.PostForm("http://"+c.addr+path, form)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s answered %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
