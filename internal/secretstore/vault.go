package secretstore

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

const (
	vaultTimeout = 5 * time.Second // of one call
	maxAnswer    = 1 << 20         // of a Vault, in bytes
)

// VaultConfig says where a HashiCorp Vault or an OpenBao is, and how to log in there. It
// requires Address, Mount, Path and Login with what that needs.
type VaultConfig struct {
	Address    string // http(s)://host:port
	Namespace  string // of Vault Enterprise and OpenBao; empty: the root
	Mount      string // of a KV engine, version 2
	Path       string // secrets are {Path}/{organization}/{name} in there
	CA         string // PEM file: who signed its certificate; empty: as the system says
	Login      string // one of Logins
	LoginMount string // of the login's method; empty: the login's name
	Role       string // LoginAppRole: the role_id; LoginKubernetes: the role
	Secret     string // ref, found in Env or File: LoginToken: the token; LoginAppRole: the secret_id
	JWT        string // LoginKubernetes: file with the service account's token
}

// vault reads a KV engine, version 2. A secret is the member "value" of what the engine
// keeps, a secretdoc all its members, and a certificate the members "certificate" and
// "key".
type vault struct {
	VaultConfig
	client *http.Client
	local  func(ctx context.Context, ref string) (secret.Bytes, error)
	clock  func() time.Time

	logins  singleflight.Group
	session atomic.Pointer[session]
}

func newVault(c VaultConfig, local func(context.Context, string) (secret.Bytes, error), clock func() time.Time) (*vault, error) {
	t := &http.Transport{
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   vaultTimeout,
		ResponseHeaderTimeout: vaultTimeout,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "secrets.vault.ca cannot be read", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fault.BadField("secrets.vault.ca", "has no certificate in PEM")
		}
	}
	c.Address = strings.TrimRight(c.Address, "/")
	return &vault{VaultConfig: c, local: local, clock: clock, client: &http.Client{
		Transport: t, Timeout: vaultTimeout,
		// A redirect would take the token along, wherever it leads.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (v *vault) place(n secret.SRN) string { return "in Vault as " + v.Mount + "/" + v.key(n) }

func (v *vault) key(n secret.SRN) string {
	return strings.Trim(v.Path+"/"+n.Organization+"/"+n.Resource, "/")
}

// kv is what the engine answers (KV v2, "Read secret version"). A version that was
// deleted or destroyed comes with status 404 and metadata.
type kv struct {
	Data struct {
		Data     map[string]json.RawMessage `json:"data"`
		Metadata struct {
			Version json.Number `json:"version"`
		} `json:"metadata"`
	} `json:"data"`
}

func (v *vault) find(ctx context.Context, n secret.SRN) (got value, found bool, err error) {
	path := v.Mount + "/data/" + v.key(n)
	if n.Qualifier != "" {
		path += "?version=" + n.Qualifier
	}
	body, err := v.read(ctx, path)
	if err != nil || body == nil {
		return value{}, false, err
	}
	var answer kv
	if err := json.Unmarshal(body, &answer); err != nil {
		return value{}, false, fault.Wrap(fault.Unavailable, "Vault's answer cannot be understood", err)
	}
	data, version := answer.Data.Data, answer.Data.Metadata.Version.String()
	switch {
	case data == nil && version == "": // such as one that is wrapped
		return value{}, false, fault.New(fault.Unavailable, "Vault's answer cannot be understood: it has no version of a secret")
	case data == nil:
		return value{}, false, nil
	}
	text, err := textOf(n, data)
	return value{text, version}, err == nil, err
}

// textOf makes one text of the members of a secret.
func textOf(n secret.SRN, data map[string]json.RawMessage) ([]byte, error) {
	if n.Type == secret.Document {
		return json.Marshal(data)
	}
	names := []string{"value"}
	if n.Type == secret.Certificate {
		names = []string{"certificate", "key"}
	}
	var text []string
	for _, name := range names {
		var member string
		if json.Unmarshal(data[name], &member) != nil {
			return nil, fault.Newf(fault.Invalid, "%s must have the string %q in Vault", n, name)
		}
		text = append(text, member)
	}
	return []byte(strings.Join(text, "\n")), nil
}

// read gets a path with a session, and once more with a new one if that was refused. It
// returns nil if there is nothing.
func (v *vault) read(ctx context.Context, path string) ([]byte, error) {
	for again := false; ; again = true {
		s, err := v.enter(ctx)
		if err != nil {
			return nil, err
		}
		status, body, err := v.call(ctx, http.MethodGet, path, s.token, nil)
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			return body, nil
		case status == http.StatusNotFound && json.Valid(body) && complaint(body) == "": // else it is not Vault's
			return nil, nil
		case status == http.StatusForbidden && !again:
			v.session.CompareAndSwap(s, nil)
		default:
			return nil, refusal("Vault does not give "+strings.Split(path, "?")[0], status, body)
		}
	}
}

// call sends one request and reads its answer. token may be empty.
func (v *vault) call(ctx context.Context, method, path string, token secret.Bytes, in any) (status int, body []byte, err error) {
	var payload io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.Address+"/v1/"+escape(path), payload)
	if err != nil {
		return 0, nil, fault.Wrap(fault.Invalid, "Vault cannot be called", err)
	}
	req.Header.Set("X-Vault-Request", "true") // what a Vault Agent may ask for
	if token.Len() > 0 {
		req.Header.Set("X-Vault-Token", string(token.Reveal()))
	}
	if v.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", v.Namespace)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return 0, nil, fault.Wrap(fault.Unavailable, "Vault does not answer", err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, fault.Wrap(fault.Unavailable, "Vault's answer was cut off", err)
	case len(body) > maxAnswer:
		return 0, nil, fault.Newf(fault.Unavailable, "Vault's answer has more than %d bytes", maxAnswer)
	}
	return resp.StatusCode, body, nil
}

// escape keeps the query and the slashes of a path as they are.
func escape(path string) string {
	path, query, found := strings.Cut(path, "?")
	u := (&url.URL{Path: path}).EscapedPath()
	if found {
		u += "?" + query
	}
	return u
}

// complaint is the first error that an answer names.
func complaint(body []byte) string {
	var answer struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Errors) == 0 {
		return ""
	}
	return strings.ToValidUTF8(answer.Errors[0][:min(len(answer.Errors[0]), 200)], "")
}

// refusal tells of a status that is no answer: Vault is overloaded, sealed or not the
// active node, to which a redirect leads, or it does not let this node in. Whoever needs
// the secret can do nothing about any of these but try again.
func refusal(what string, status int, body []byte) error {
	cause := complaint(body)
	if status/100 == 3 {
		cause = "it sends to another node: secrets.vault.address must be that of the active one"
	}
	return fault.Wrap(fault.Unavailable, what, &vaultError{status, cause})
}
