package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/secret"
)

// Validate reports every mistake in c, which need not come from [Load]: the
// error joins one [fault.Error] each, whose Field is the member's path.
// Handlers are those of [Options].
func (c *Config) Validate(handlers map[string]string) error {
	v := &validator{Config: c, handlers: handlers}
	v.names()
	v.addresses()
	v.files()
	v.durations()
	v.traces()
	v.secrets()
	for _, name := range slices.Sorted(maps.Keys(c.Keys)) {
		v.keySet("keys."+string(name), name, c.Keys[name])
	}
	v.devices()
	v.admin()
	v.bots()
	v.kore()
	v.egress()
	v.login()
	v.audit()
	v.gateway()
	return errors.Join(v.errs...)
}

type validator struct {
	*Config
	handlers map[string]string
	errs     []error
}

func (v *validator) bad(path, format string, args ...any) {
	v.errs = append(v.errs, fault.BadField(path, fmt.Sprintf(format, args...)))
}

func (v *validator) names() {
	if n, err := secret.ParseSRN("srn:vault::" + v.Organization + ":secret:x"); err != nil || n.Organization != v.Organization {
		v.bad("organization", "must be 1 to 128 letters, digits, or _ - $")
	}
	if len(v.Doors) == 0 {
		v.bad("doors", "must name at least one of issue, admit and carry")
	}
	for i, d := range v.Doors {
		if slices.Contains(v.Doors[:i], d) {
			v.bad(fmt.Sprintf("doors[%d]", i), "is named twice")
		}
	}
	if u, err := url.Parse(v.Issuer); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		v.bad("issuer", "must be an http or https URL without query and fragment")
	}
}

func (v *validator) addresses() {
	used := map[string]string{}
	for _, l := range []struct{ path, addr string }{
		{"listen.public", v.Listen.Public}, {"listen.gateway", v.Listen.Gateway}, {"listen.admin", v.Listen.Admin},
	} {
		_, port, err := net.SplitHostPort(l.addr)
		n, portErr := strconv.ParseUint(port, 10, 16)
		switch first, taken := used[l.addr]; {
		case err != nil || portErr != nil:
			v.bad(l.path, "must be host:port, such as 127.0.0.1:8080")
		case taken && n != 0:
			v.bad(l.path, "is the address of %s, too", first)
		}
		used[l.addr] = l.path
	}
}

func (v *validator) files() {
	if v.Data == "" {
		v.bad("data", "must name a directory")
	}
	if (v.TLS.Cert == "") != (v.TLS.Key == "") {
		v.bad("tls", "set both cert and key, or none")
	}
	if path, ok := strings.CutPrefix(v.Store, sqlite); !postgresURL(v.Store) && (!ok || path == "" || strings.ContainsAny(path, "?#")) {
		v.bad("store", "must be sqlite://PATH or postgres://USER@HOST/DATABASE")
	}
	if v.Bus != local && !redisURL(v.Bus) {
		v.bad("bus", "must be local or redis://HOST:PORT")
	}
	v.keySource("master_keys.signing", v.MasterKeys.Signing)
	v.keySource("master_keys.data", v.MasterKeys.Data)
	if v.MasterKeys.Signing == v.MasterKeys.Data && v.MasterKeys.Data != "stdin" {
		v.bad("master_keys.data", "must be another key than master_keys.signing, which not all nodes may hold")
	}
}

func (v *validator) keySource(path, s string) {
	if secret.IsRef(s) {
		v.srn(path, s)
		return
	}
	kind, rest, named := strings.Cut(s, ":")
	if s != "stdin" && (!named || kind != "file" && kind != "env" || rest == "") {
		v.bad(path, "must be file:PATH, env:NAME, stdin, or an SRN")
	}
}

func (v *validator) srn(path, ref string) {
	if err := secret.CheckRef(ref, v.Organization, secret.ForText); err != nil {
		v.bad(path, "%s", fault.Public(err).Msg)
	}
}

// minRetention leaves bots the time to answer.
const minRetention = Duration(24 * time.Hour)

func (v *validator) durations() {
	for _, d := range []struct {
		path  string
		value Duration
	}{
		{"poll_interval", v.PollInterval},
		{"shutdown_grace", v.ShutdownGrace},
		{"tokens.access_ttl", v.Tokens.AccessTTL},
		{"tokens.refresh_ttl", v.Tokens.RefreshTTL},
		{"tokens.sts_ttl", v.Tokens.STSTTL},
	} {
		v.limited(d.path, d.value)
	}
	if v.ShutdownDelay < 0 || v.ShutdownDelay == Forever {
		v.bad("shutdown_delay", "must not be negative and have an end")
	}
	if v.Chat.Retention < minRetention {
		v.bad("chat.retention", "must be at least %s, or forever", minRetention)
	}
}

func (v *validator) limited(path string, d Duration) {
	if d <= 0 || d == Forever {
		v.bad(path, "must be more than nothing and have an end")
	}
}

// keySet adds to a set's own rules what the node's own sets must keep.
func (v *validator) keySet(path string, name key.SetName, s *KeySet) {
	spec := s.Spec(name)
	for _, err := range flatten(spec.Validate()) {
		public := fault.Public(err)
		if public.Field == "name" {
			v.bad(path, "%s", public.Msg)
			continue
		}
		v.bad(join(path, public.Field), "%s", public.Msg)
	}
	if name == AccessSet && !slices.Contains(s.Algorithms, jose.Algorithm("RS256")) {
		v.bad(path+".algorithms", "must have RS256, which every verifier of access tokens knows (RFC 9068 section 2.1)")
	}
	if strings.Contains(s.IssuerPrefix, "-") {
		v.bad(path+".issuer_prefix", "must not contain -, which ends a prefix")
	}
	for _, other := range slices.Sorted(maps.Keys(v.Keys)) {
		if theirs := v.Keys[other].Spec(other); other < name && spec.SharesKids(&theirs) {
			v.bad(path+".kid_prefix", "makes key ids that the key set %q may make, too", other)
		}
	}
	if s.IssuerPrefix != "" && (name == AccessSet || name == STSSet) {
		v.bad(path+".issuer_prefix", "is for device sets alone")
	}
	ttl, own := map[key.SetName]Duration{AccessSet: v.Tokens.AccessTTL, STSSet: v.Tokens.STSTTL}[name]
	if own && s.Verification < ttl {
		v.bad(path+".verification", "must be at least the lifetime of the tokens, %s", ttl)
	}
}

func (v *validator) setNames() []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(v.Keys)) {
		out = append(out, string(n))
	}
	return out
}

// gateway adds to the gateway's own rules what needs the rest of the configuration.
func (v *validator) gateway() {
	for _, err := range flatten(v.Gateway.Validate()) {
		public := fault.Public(err)
		v.bad(join("gateway", public.Field), "%s", public.Msg)
	}
	if v.Bus == local {
		for _, path := range v.Gateway.Sharing() {
			v.bad(join("gateway", path), "%s", gateway.NothingShared)
		}
	}
	for i, c := range v.Gateway.Consumers {
		for j, s := range c.JWTSecrets {
			path := fmt.Sprintf("gateway.consumers[%d].jwt_secrets[%d]", i, j)
			if ref := s.Secret.SRN(); ref != "" {
				v.srn(path+".secret", ref)
			}
			if _, ok := v.Keys[key.SetName(s.KeySet)]; s.KeySet != "" && !ok {
				v.bad(path+".key_set", "there is no key set %q%s", s.KeySet, suggest(s.KeySet, v.setNames()))
			}
		}
	}
	if v.Gateway.VerifyPath != "" && len(v.TrustedProxies) == 0 {
		v.bad("gateway.verify_path", "needs trusted_proxies: only the gateways in there may ask")
	}
	for i, s := range v.Gateway.Services {
		if name, internal := strings.CutPrefix(s.URL, "internal://"); internal && v.handlers != nil {
			v.handler(fmt.Sprintf("gateway.services[%d].url", i), name)
		}
	}
}

func (v *validator) handler(path, name string) {
	switch door, ok := v.handlers[name]; {
	case !ok:
		v.bad(path, "there is no internal service %q%s", name, suggest(name, slices.Sorted(maps.Keys(v.handlers))))
	case door != "" && !slices.Contains(v.Doors, door):
		v.bad(path, "the internal service %q is behind the door %s, which this node does not open", name, door)
	}
}
