package server

import (
	"net/http"
	"strings"

	"github.com/carnetproject/carnet/internal/api/auth"
	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/securesession"
)

// signIns makes the broker of the auth profiles that the configuration has now, if any,
// and mounts its routes.
func (s *Server) signIns(mux *http.ServeMux) (*authprofile.Broker, error) {
	c := s.core.Config
	apis, err := readAPIs(c)
	if err != nil {
		return nil, err
	}
	b, err := authprofile.New(authprofile.Config{
		Profiles: apis.Profiles, Base: strings.TrimSuffix(c.Issuer, "/"), Store: s.core.store, Clock: s.core.now, Box: s.core.sealed,
		Secrets: s.core.Secrets, Guard: c.Egress.Guard(),
	})
	if err != nil {
		return nil, err
	}
	auth.New(auth.Config{
		Broker: b, ClientAddr: httpx.ClientAddr(c.TrustedProxies), PerAddr: limit.New(c.Limits.LoginPerIP, addrsRemembered), Clock: s.core.now,
	}).Mount(mux)
	return b, nil
}

// authorizer asks with a client for the post's policy. An auth profile without a connector
// has no client.
func (p *post) authorizer(client *connector.Client) (securesession.Authorizer, error) {
	if p.policy.Type == securesession.Baas {
		return securesession.NewBaas(p.policy, client), nil
	}
	return p.signIns.Authorizer(p.policy, client)
}

// client is the one that the post asks with now, nil if its auth profile asks none, and
// that profile, nil if its policy names none. It is false if one of them is not there.
func (p *post) client() (c *connector.Client, profile *authprofile.Profile, ok bool) {
	alias := p.policy.Alias
	if p.policy.Type == securesession.AuthProfile {
		if profile, ok = p.signIns.Profile(alias); !ok {
			return nil, nil, false
		}
		if alias = profile.Connector; alias == "" {
			return nil, profile, true
		}
	}
	c, ok = p.apis.Connector(alias)
	return c, profile, ok
}

// serve tells what a policy names that is not among the clients.
func (c *clients) serve(p *securesession.Policy) error {
	alias := strings.ToLower(p.Alias)
	if p.Type == securesession.AuthProfile {
		profile := c.profiles[alias]
		if profile == nil {
			return fault.Newf(fault.Invalid, "there is no auth profile %q", p.Alias)
		}
		if alias = profile.Connector; alias == "" {
			return nil
		}
	}
	if c.byAlias[alias] == nil {
		return fault.Newf(fault.Invalid, "there is no connector %q", alias)
	}
	return nil
}
