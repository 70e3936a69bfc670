package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// manyTokens is how many distinct tokens the caches of a gateway have to cope with.
const manyTokens = 10_000

// rivalsGroup measures the gateway's CPU for a request with an RS256 token beside what
// people use today, as Debian packages it: nginx that passes everything, and HAProxy
// that verifies each token. All have the same upstream and get the same tokens, in turn.
func rivalsGroup() group {
	return group{
		[]string{"gateway/nginx-1", "gateway/nginx-10k", "gateway/haproxy-1", "gateway/haproxy-10k", "gateway/spread"},
		func(ctx context.Context, report func(Result)) error {
			return withDir(func(dir string) error { return measureRivals(ctx, dir, report) })
		},
	}
}

// contender is one of the servers compared, and its figures: with one token, and with many.
type contender struct {
	*process
	addr      string
	one, many []float64
}

func measureRivals(ctx context.Context, dir string, report func(Result)) error {
	for _, name := range []string{"nginx", "haproxy"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not here: apt-get install nginx-light haproxy", name)
		}
	}
	tokens, public, err := rsaTokens(manyTokens)
	if err != nil {
		return err
	}
	up, err := startChild(ctx, "upstream")
	if err != nil {
		return err
	}
	defer up.stop()
	n, err := startNode(ctx, dir, verifyingGateway(public, up.addr))
	if err != nil {
		return err
	}
	defer n.stop()
	nginx, err := startNginx(ctx, dir, up.addr)
	if err != nil {
		return err
	}
	defer nginx.stop()
	haproxy, err := startHAProxy(ctx, dir, up.addr, public)
	if err != nil {
		return err
	}
	defer haproxy.stop()

	reqs := make([][]byte, len(tokens))
	for i, t := range tokens {
		reqs[i] = request("GET", "/v1/thing", "", "Authorization", "Bearer "+t)
	}
	ours := &contender{process: n.process, addr: n.gateway}
	plain := &contender{process: nginx, addr: nginx.addr}
	verifying := &contender{process: haproxy, addr: haproxy.addr}
	for round := range loadRounds + 1 {
		for _, c := range []*contender{ours, plain, verifying} {
			one, err := cpuPerRequest(ctx, c.process, c.addr, reqs[0])
			if err != nil {
				return err
			}
			many, err := cpuPerRequest(ctx, c.process, c.addr, reqs...)
			if err != nil {
				return err
			}
			if round > 0 { // the first warms up
				c.one, c.many = append(c.one, one), append(c.many, many)
			}
		}
	}
	report(beside("gateway/nginx-1", "µs CPU", median(ours.one), median(plain.one)))
	report(beside("gateway/nginx-10k", "µs CPU", median(ours.many), median(plain.many)))
	report(beside("gateway/haproxy-1", "µs CPU", median(ours.one), median(verifying.one)))
	report(atMost("gateway/haproxy-10k", "µs CPU", median(ours.many), median(verifying.many), 1.4))
	report(atMost("gateway/spread", "µs CPU", median(ours.many), median(ours.one), 1.25))
	return nil
}

// verifyingGateway is the configuration that the rivals' are the likes of.
func verifyingGateway(public, upstream string) string {
	return fmt.Sprintf(`gateway:
  consumers:
  - username: bench
    jwt_secrets:
    - {key: bench, algorithm: RS256, rsa_public_key: %q}
  services:
  - name: up
    url: http://%s
    routes: [{name: all, paths: [/]}]
    plugins: {jwt: {claims_to_verify: [exp]}}
`, public, upstream)
}

// startNginx runs a reverse proxy in one process, so that its CPU is one number.
func startNginx(ctx context.Context, dir, upstream string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/nginx-body;
	proxy_temp_path %[1]s/nginx-proxy;
	fastcgi_temp_path %[1]s/nginx-fastcgi;
	uwsgi_temp_path %[1]s/nginx-uwsgi;
	scgi_temp_path %[1]s/nginx-scgi;
	keepalive_requests 100000000;
	upstream up { server %[2]s; keepalive 64; keepalive_requests 100000000; }
	server {
		listen %[3]s;
		location / {
			proxy_pass http://up;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
}
`, dir, upstream, addr)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return start(ctx, exec.CommandContext(ctx, "nginx", "-c", path, "-e", "stderr"), addr, "/")
}

// startHAProxy verifies the signature and exp of each token (its converter jwt_verify).
// A path of its own answers the question whether it is there.
func startHAProxy(ctx context.Context, dir, upstream, public string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	pem := filepath.Join(dir, "bench.pem")
	if err := os.WriteFile(pem, []byte(public), 0o600); err != nil {
		return nil, err
	}
	config := strings.NewReplacer("PEM", pem, "ADDR", addr, "UPSTREAM", upstream).Replace(`defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	option forwardfor
	http-reuse always
frontend in
	bind ADDR
	http-request return status 200 if { path /ready }
	http-request set-var(txn.bearer) http_auth_bearer
	http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
	http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
	http-request set-var(txn.now) date()
	http-request deny status 401 unless { var(txn.alg) -m str RS256 }
	http-request deny status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"PEM") 1 }
	http-request deny status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
	http-request set-header X-Consumer-Username %[var(txn.bearer),jwt_payload_query('$.iss')]
	default_backend up
backend up
	server up UPSTREAM
`)
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return start(ctx, exec.CommandContext(ctx, "haproxy", "-db", "-f", path), addr, "/ready")
}
