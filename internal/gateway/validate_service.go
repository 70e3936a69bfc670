package gateway

import (
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Bounds of an upstream, Kong's.
const (
	maxWeight  = 65535
	maxRetries = 32767
)

func (v *validator) service(at string, s *Service) {
	if _, err := parseURL(s.URL); err != nil {
		v.errs = append(v.errs, fault.BadField(at+".url", err.Error()))
	}
	if s.ConnectTimeout < 0 {
		v.bad(at+".connect_timeout", "must not be negative")
	}
	if s.ReadTimeout < 0 {
		v.bad(at+".read_timeout", "must not be negative")
	}
	if s.WriteTimeout < 0 {
		v.bad(at+".write_timeout", "must not be negative")
	}
	if s.Retries != nil && (*s.Retries < 0 || *s.Retries > maxRetries) {
		v.bad(at+".retries", "value should be between 0 and %d", maxRetries)
	}
	if s.CACertificates != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CACertificates)) {
		v.bad(at+".ca_certificates", "write certificates in PEM")
	}
	v.plugins(at+".plugins", &s.Plugins)
	for i := range s.Routes {
		v.route(fmt.Sprintf("%s.routes[%d]", at, i), &s.Routes[i])
	}
}

func (v *validator) upstreams() {
	names := map[string]string{}
	for i := range v.config.Upstreams {
		u, at := &v.config.Upstreams[i], fmt.Sprintf("upstreams[%d]", i)
		v.name(at+".name", u.Name, names)
		if rule, ok := parseHost(u.Name); !ok || rule.form != wholeHost || rule.port != "" {
			v.bad(at+".name", "%q must be a host name: it stands for the host in the URL of a service", u.Name)
		}
		if u.Algorithm != "" && u.Algorithm != roundRobin && u.Algorithm != leastConnections {
			v.bad(at+".algorithm", "%q: expected one of: %s, %s", u.Algorithm, roundRobin, leastConnections)
		}
		if u.MaxFails < 0 {
			v.bad(at+".max_fails", "must not be negative")
		}
		if u.FailTimeout < 0 {
			v.bad(at+".fail_timeout", "must not be negative")
		}
		v.targets(at, u)
	}
}

func (v *validator) targets(at string, u *Upstream) {
	used, active := map[string]string{}, 0
	if len(u.Targets) > maxTurns {
		v.bad(at+".targets", "name at most %d targets", maxTurns)
	}
	for i := range u.Targets {
		t, at := &u.Targets[i], fmt.Sprintf("%s.targets[%d]", at, i)
		address := t.address()
		host, port, err := net.SplitHostPort(address)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || portErr != nil || n == 0 || strings.ContainsAny(host, "*/@? ") {
			v.bad(at+".target", "%q must be host:port", t.Target)
		} else if first, taken := used[address]; taken {
			v.bad(at+".target", "%q is already the value of %s", t.Target, first)
		}
		used[address] = at + ".target"
		if w := t.weight(); w < 0 || w > maxWeight {
			v.bad(at+".weight", "value should be between 0 and %d", maxWeight)
		} else if w > 0 {
			active++
		}
	}
	if active == 0 {
		v.bad(at+".targets", "name at least one target whose weight is not 0")
	}
}
