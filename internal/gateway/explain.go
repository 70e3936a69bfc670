package gateway

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Finding is what one check made of a request that [Gateway.Explain] was asked about.
type Finding struct {
	Check  string // "path", "route", "jwt", "acl"
	OK     bool
	Detail string // for people; if the check refuses, the answer and the reason
}

// Explain walks the checks of a request without sending it, up to the first that
// refuses. target is a path with or without a query. The token, if not "", stands
// where the route looks for one first.
func (g *Gateway) Explain(ctx context.Context, method, host, target, token string) []Finding {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return []Finding{{Check: "path", Detail: "not a path: it starts with a slash and may have a query"}}
	}
	r := &http.Request{Method: method, Host: host, URL: u, Header: http.Header{}, RemoteAddr: "127.0.0.1:0"}
	r.TLS = &tls.ConnectionState{} // so that no route sends it away for that
	d := g.locate(r.WithContext(ctx), g.clock())
	if d.refusedBy == "path" {
		return []Finding{d.refusal.finding("path")}
	}
	all := []Finding{{"path", true, d.request.path}}
	if d.refusal != nil {
		return append(all, d.refusal.finding("route"))
	}
	to := d.candidate.route
	all = append(all, Finding{"route", true, "route " + to.name + ", service " + to.service.name})
	walk := func(list []stage) bool {
		for _, s := range list {
			if jwt, ok := s.(*jwtStage); ok && token != "" {
				jwt.places.put(&d.request, token)
			}
			if f := s.check(ctx, &d.request); f != nil {
				all = append(all, f.finding(s.name()))
				return false
			}
			all = append(all, Finding{s.name(), true, d.request.describe(s)})
		}
		return true
	}
	if walk(to.stages.before) {
		walk(to.stages.next(d.request.principal))
	}
	return all
}

func (f *refusal) finding(check string) Finding {
	body := f.body
	if f.message != "" { // without the number, which is that of a real request
		body = `{"message":` + quote(f.message) + `}`
	}
	return Finding{check, false, strconv.Itoa(f.status) + " " + body + ": " + f.reason}
}

// describe says what a stage that let r pass has found out.
func (r *request) describe(s stage) string {
	p := r.principal
	switch s := s.(type) {
	case *rateStage:
		return "within the limits, counted by " + s.caller(r).kind
	case *corsStage:
		return "says in the answer which origins may read it"
	case *sizeStage:
		return "bodies of at most " + strconv.FormatInt(s.bound, 10) + " bytes"
	}
	switch {
	case p == nil:
		return "not checked"
	case s.name() == "acl":
		return "groups " + p.Consumer.GroupList()
	case p.Credential == nil:
		return "anonymous consumer " + p.Consumer.Name() + ", instead of a refusal: " + r.excused
	default:
		return "consumer " + p.Consumer.Name() + ", credential " + p.Credential.Key + ", identity " + p.Identity
	}
}

// put places a token where find looks for one first.
func (p *places) put(r *request, token string) {
	switch {
	case len(p.headers) > 0:
		r.header[p.headers[0]] = []string{"Bearer " + token}
	case len(p.query) > 0:
		r.query = strings.TrimPrefix(r.query+"&"+url.QueryEscape(p.query[0])+"="+url.QueryEscape(token), "&")
	case len(p.cookies) > 0:
		r.header["Cookie"] = []string{p.cookies[0] + "=" + token}
	}
}
