package kong

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

const adminSecret = "admin-s3cret"

// node is a store, a gateway and the Admin API over them.
type node struct {
	t        *testing.T
	store    *sqlite.Store
	registry *consumer.Registry
	catalog  *Catalog
	gateway  *gateway.Gateway
	admin    *Handler
	front    *httptest.Server // of the gateway
	api      *httptest.Server
	upstream *httptest.Server // tells what it got
}

// options are what a test may want otherwise.
type options struct {
	file        gateway.Config
	version     Version
	showSecrets bool
	open        bool
	path        string // of the store; "": a new one
}

func newNode(t *testing.T, o options) *node {
	t.Helper()
	if o.path == "" {
		o.path = filepath.Join(t.TempDir(), "carnet.db")
	}
	n := &node{t: t}
	var err error
	if n.store, err = sqlite.Open(t.Context(), o.path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = n.store.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = n.store.Close()
	})
	box, err := seal.NewBox(secret.New(bytes.Repeat([]byte{7}, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	if n.registry, err = consumer.NewRegistry(consumer.RegistryConfig{Store: n.store, Box: box}); err != nil {
		t.Fatal(err)
	}
	if err := n.registry.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := map[string]string{"path": r.URL.Path}
		for name := range r.Header {
			got[strings.ToLower(name)] = r.Header.Get(name)
		}
		_ = json.NewEncoder(w).Encode(got)
	}))
	t.Cleanup(n.upstream.Close)
	if n.gateway, err = gateway.New(t.Context(), gateway.Options{
		Config: o.file, Issuer: "https://issuer.test", Registry: n.registry, Cache: carnet.NewCache(1 << 20),
	}); err != nil {
		t.Fatal(err)
	}
	n.catalog = NewCatalog(CatalogConfig{
		Store: n.store, Consumers: n.registry, File: o.file, FileName: "carnet.yaml",
		Check: n.gateway.Check, Apply: n.gateway.Reload, Log: slog.New(slog.DiscardHandler),
	})
	if err := n.catalog.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.admin = New(Config{
		Catalog: n.catalog, Registry: n.registry, Secret: secret.FromString(adminSecret), Open: o.open,
		Version: o.version, ShowSecrets: o.showSecrets, Build: "test", Ping: n.store.Ping,
	})
	n.api, n.front = httptest.NewServer(n.admin), httptest.NewServer(n.gateway)
	t.Cleanup(n.api.Close)
	t.Cleanup(n.front.Close)
	return n
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	text   string
	doc    map[string]any // nil if it is no JSON object
}

func (n *node) send(method, target, media string, body io.Reader, header http.Header) answer {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, target, body)
	if err != nil {
		n.t.Fatal(err)
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	maps.Copy(r.Header, header)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.doc)
	return a
}

var asAdmin = http.Header{"Authorization": {"Bearer " + adminSecret}}

// ask sends v as JSON to the Admin API; nil sends nothing.
func (n *node) ask(method, path string, v any) answer {
	n.t.Helper()
	if v == nil {
		return n.send(method, n.api.URL+path, "", nil, asAdmin)
	}
	body, err := json.Marshal(v)
	if err != nil {
		n.t.Fatal(err)
	}
	return n.send(method, n.api.URL+path, "application/json", bytes.NewReader(body), asAdmin)
}

// must is ask that expects a status.
func (n *node) must(status int, method, path string, v any) map[string]any {
	n.t.Helper()
	a := n.ask(method, path, v)
	if a.status != status {
		n.t.Fatalf("%s %s is answered %d, want %d: %s", method, path, a.status, status, a.text)
	}
	return a.doc
}

// form sends a form.
func (n *node) form(method, path string, v url.Values) answer {
	n.t.Helper()
	return n.send(method, n.api.URL+path, "application/x-www-form-urlencoded", strings.NewReader(v.Encode()), asAdmin)
}

// call asks the gateway, with a token if there is one.
func (n *node) call(path, token string) answer {
	n.t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return n.send(http.MethodGet, n.front.URL+path, "", nil, header)
}

// hs256 is a token of an issuer under a secret.
func hs256(t *testing.T, iss, value string) string {
	t.Helper()
	k, err := jose.NewImportedSecretKey(jose.HS256, "", []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": iss})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := k.Sign("JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

var publicKey = sync.OnceValue(func() string {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
})

// service makes a service with a route at path, and returns their documents.
func (n *node) service(name, path string) (service, route map[string]any) {
	n.t.Helper()
	service = n.must(201, "POST", "/services", map[string]any{"name": name, "url": n.upstream.URL})
	route = n.must(201, "POST", "/services/"+name+"/routes", map[string]any{"name": name + "-route", "paths": []string{path}})
	return service, route
}
