package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/api/device"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/consumer"
	devices "github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
)

// deviceDoor is the registration service, which only the gateway reaches.
func (s *Server) deviceDoor(ctx context.Context) (http.Handler, error) {
	c := s.core.Config
	moved := map[string]string{}
	sets := map[key.SetName]devices.Set{}
	for _, d := range c.Devices.Sets {
		set := c.Keys[d.Name]
		sets[d.Name] = devices.Set{Algorithm: set.Algorithms[0], Form: d.Form, IssuerPrefix: set.IssuerPrefix}
		moved[string(d.Name)] = d.Redirect
	}
	registrar, err := devices.New(devices.Config{
		Keys: s.signer(), Sets: sets, Reserved: issuerPrefixes(c),
		Legacy: legacyCredentials{s.core.Consumers, s.core.now}, LegacyConsumers: c.Devices.Legacy, Clock: s.core.now,
	})
	if err != nil {
		return nil, err
	}
	o := device.Config{
		Registrar: registrar, Moved: moved, Health: s.core.store.Ping, Clock: s.core.now,
		PerDevice:  limit.New(c.Limits.RegisterPerDevice, addrsRemembered),
		PerAddr:    limit.New(c.Limits.RegisterPerIP, addrsRemembered),
		ClientAddr: httpx.ClientAddr(c.TrustedProxies),
	}
	if c.Devices.Refresh != nil {
		if o.Refresher, err = s.refresher(ctx, c.Devices.Refresh); err != nil {
			return nil, c.Locate("devices.refresh", err)
		}
	}
	mux := http.NewServeMux()
	device.New(o).Mount(mux)
	return s.metrics.Handler("device", mux), nil
}

// issuerPrefixes are those that some device's issuer may begin with.
func issuerPrefixes(c *config.Config) (prefixes []string) {
	for _, set := range c.Keys {
		if set.IssuerPrefix != "" {
			prefixes = append(prefixes, set.IssuerPrefix)
		}
	}
	return append(prefixes, c.Gateway.IssuerPrefixes()...)
}

// refresher takes the refresh tokens of a Keycloak realm.
func (s *Server) refresher(ctx context.Context, c *config.Refresh) (*devices.Refresher, error) {
	o := devices.RefresherConfig{
		Issuer: c.Issuer, Signer: s.signer(), Set: c.KeySet, Clock: s.core.now, Log: s.core.log,
		OfflineValidity: c.OfflineValidity.Std(), AccessValidity: c.AccessValidity.Std(),
	}
	var err error
	switch {
	case c.PublicKey != "":
		var k *carnet.Key
		if k, err = carnet.ParsePEM("RS256", c.KeyID, []byte(c.PublicKey)); err == nil {
			o.Keys, err = carnet.StaticKeys(k)
		}
		if err != nil {
			return nil, fault.BadField("public_key", err.Error())
		}
	case c.JWKSURI != "":
		if o.Keys, err = carnet.RemoteKeys(carnet.RemoteConfig{Issuer: c.Issuer, URL: c.JWKSURI}); err != nil {
			return nil, fault.BadField("jwks_uri", err.Error())
		}
	}
	if c.Secret != "" {
		if o.Secret, err = s.realmSecret(ctx, c.Secret); err != nil {
			return nil, err
		}
	}
	if c.RolesURL != "" {
		if o.Roles, err = s.learner(ctx, c); err != nil {
			return nil, err
		}
	}
	return devices.NewRefresher(o)
}

// realmSecret is the key of the realm's HS256 tokens.
func (s *Server) realmSecret(ctx context.Context, ref string) (*carnet.Key, error) {
	text, err := s.core.Secrets.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
		value, err := encoding.DecodeString(strings.TrimRight(string(text.Reveal()), "="))
		if err != nil {
			continue
		}
		if k, err := carnet.ImportedSecretKey("HS256", "", value); err == nil {
			return k, nil
		}
	}
	return nil, fault.BadField("secret", "must be a secret in base64, either alphabet")
}

func (s *Server) learner(ctx context.Context, c *config.Refresh) (*devices.Learner, error) {
	o := devices.LearnerConfig{URL: c.RolesURL}
	if c.RolesToken != "" {
		var err error
		if o.Token, err = s.core.Secrets.Resolve(ctx, c.RolesToken); err != nil {
			return nil, err
		}
	}
	l, err := devices.NewLearner(o)
	if err != nil {
		return nil, fault.BadField("roles_url", err.Error())
	}
	return l, nil
}

// legacyCredentials are the store's credentials as version 1 of the registration
// wants them.
type legacyCredentials struct {
	registry *consumer.Registry
	clock    func() time.Time
}

// Legacy finds the credential or makes it. Of two requests that make it at once, one
// finds what the other made.
func (l legacyCredentials) Legacy(ctx context.Context, name, deviceKey string) (secret.Bytes, error) {
	owner, err := l.registry.Consumer(ctx, name)
	if err != nil {
		return secret.Bytes{}, err
	}
	if !owner.Ends.IsZero() && !l.clock().Before(owner.Ends) {
		return secret.Bytes{}, fault.New(fault.NotFound, "the consumer is decommissioned")
	}
	rec, err := l.registry.Credential(ctx, deviceKey)
	if fault.KindOf(err) == fault.NotFound {
		rec, err = l.registry.AddCredential(ctx, consumer.Record{ConsumerID: owner.ID, Key: deviceKey})
	}
	if fault.KindOf(err) == fault.Conflict { // another request made it, or the file has it
		if found, again := l.registry.Credential(ctx, deviceKey); again == nil {
			rec, err = found, nil
		}
	}
	switch {
	case err != nil:
		return secret.Bytes{}, err
	case rec.ConsumerID != owner.ID || rec.Key != deviceKey || rec.Algorithm != jose.HS256:
		return secret.Bytes{}, fault.New(fault.Conflict, "the key is that of another credential")
	default:
		return rec.Secret, nil
	}
}
