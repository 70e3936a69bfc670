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

// signIns makes the broker of the auth profiles that the configuration has now, and
// mounts its routes; nil if there are none.
func (s *Server) signIns(mux *http.ServeMux) (*authprofile.Broker, error) {
	c := s.core.Config
	apis, err := readAPIs(c)
	if err != nil || len(apis.Profiles) == 0 {
		return nil, err
	}
	b, err := authprofile.New(authprofile.Config{
		Profiles: apis.Profiles, Base: strings.TrimSuffix(c.Issuer, "/"), Store: s.core.store, Box: s.core.sealed,
		Secrets: s.core.Secrets, Guard: c.Egress.Guard(),
	})
	if err != nil {
		return nil, err
	}
	auth.New(auth.Config{
		Broker: b, ClientAddr: httpx.ClientAddr(c.TrustedProxies), PerAddr: limit.New(c.Limits.LoginPerIP, addrsRemembered),
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
// that profile, nil if its policy names none.
func (p *post) client() (*connector.Client, *authprofile.Profile, error) {
	alias, profile := p.policy.Alias, (*authprofile.Profile)(nil)
	if p.policy.Type == securesession.AuthProfile {
		var ok bool
		if profile, ok = p.signIns.Profile(alias); !ok {
			return nil, nil, fault.Newf(fault.Invalid, "there is no auth profile %q", alias)
		}
		if alias = profile.Connector; alias == "" {
			return nil, profile, nil
		}
	}
	c, ok := p.apis.Connector(alias)
	if !ok {
		return nil, nil, fault.Newf(fault.Invalid, "there is no connector %q", alias)
	}
	return c, profile, nil
}
