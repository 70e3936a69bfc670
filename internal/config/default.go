package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/api/kong"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secretstore"
)

const (
	sqlite = "sqlite://" // the scheme of the store that is a file
	local  = "local"     // the bus of one node
)

// Default is the configuration before anybody said anything. Members that
// follow from others are still empty; see complete.
func Default() *Config {
	return &Config{
		Organization:  "default",
		Bus:           local,
		Data:          "./data",
		Doors:         []string{Issue, Admit, Carry},
		Listen:        Listen{Public: "127.0.0.1:8080", Gateway: "127.0.0.1:8000", Admin: "127.0.0.1:8001"},
		ShutdownGrace: Duration(10 * time.Second),
		Log:           Log{Level: "info", Format: "text"},
		Traces:        Traces{Sample: 1, Service: "carnet"},
		PollInterval:  Duration(time.Second),
		Secrets: Secrets{
			Providers: []string{secretstore.Env, secretstore.File, secretstore.Builtin},
			Vault:     Vault{Mount: "secret", Path: "carnet", Login: secretstore.LoginToken},
		},
		Keys: map[key.SetName]*KeySet{
			AccessSet: defaultKeySet("ES256", "RS256"),
			STSSet:    defaultKeySet("ES256", "RS256"),
		},
		Tokens: Tokens{AccessTTL: Duration(15 * time.Minute), RefreshTTL: Duration(720 * time.Hour), STSTTL: Duration(15 * time.Minute)},
		Login:  Login{Title: "Carnet", SessionTTL: Duration(24 * time.Hour)},
		Limits: Limits{
			STSPerIP:       limit.Rate{N: 60, Per: time.Minute},
			STSPerApp:      limit.Rate{N: 6000, Per: time.Minute},
			STSPerIdentity: limit.Rate{N: 60, Per: time.Minute},
			LoginPerIP:     limit.Rate{N: 20, Per: time.Minute},
			LoginPerUser:   limit.Rate{N: 10, Per: time.Minute},
			TokenPerApp:    limit.Rate{N: 60000, Per: time.Minute},
			AboutPerApp:    limit.Rate{N: 600000, Per: time.Minute},

			RegisterPerDevice: limit.Rate{N: 10, Per: time.Minute},
			RegisterPerIP:     limit.Rate{N: 1200, Per: time.Minute},
		},
		Admin: Admin{KongVersion: kong.Kong3, Authentication: "secret"},
		Audit: Audit{Addresses: audit.Full, Retention: Forever},
		Chat: Chat{
			Bots:             Bots{"echo": {Type: "echo"}, "menu": {Type: "menu"}},
			ConnectionsPerIP: 256,
			ConnectsPerIP:    limit.Rate{N: 1200, Per: time.Minute},
			SendsPerUser:     limit.Rate{N: 600, Per: time.Minute},
			Retention:        Forever,
			Kore:             Kore{Prefix: "/api/", TokenTTL: Duration(24 * time.Hour)},
		},
		Gateway: gateway.Config{Cache: 40 << 20, CredentialCache: 64 << 20, Counters: 64 << 20, RefusedPerIP: limit.Rate{N: 600, Per: time.Minute}},
	}
}

func defaultKeySet(algorithms ...jose.Algorithm) *KeySet {
	return &KeySet{
		Algorithms:   algorithms,
		Active:       1,
		RSABits:      2048,
		Rotation:     Duration(90 * 24 * time.Hour),
		PublishAhead: Duration(10 * time.Minute),
		Verification: Duration(24 * time.Hour),
	}
}

// complete fills in what follows from other members, and makes relative paths
// lead from the data directory.
func (c *Config) complete() {
	if c.Issuer == "" {
		c.Issuer = c.publicURL()
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.Store == "" {
		c.Store = sqlite + "carnet.db"
	}
	if file, ok := strings.CutPrefix(c.Store, sqlite); ok {
		c.Store = sqlite + c.path(file)
	}
	c.completeSecrets()
	c.TLS.Cert, c.TLS.Key = c.path(c.TLS.Cert), c.path(c.TLS.Key)
	c.MasterKeys.Signing = c.keySource(c.MasterKeys.Signing, "signing.key")
	c.MasterKeys.Data = c.keySource(c.MasterKeys.Data, "data.key")
	c.Devices.complete()
	c.Chat.complete()
}

// publicURL is where a client on this machine reaches the token service.
func (c *Config) publicURL() string {
	scheme := "http://"
	if c.TLS.Cert != "" {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(c.Listen.Public)
	if err != nil {
		return scheme + c.Listen.Public // refused by Validate
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port)
}

func (c *Config) keySource(s, file string) string {
	if s == "" {
		s = "file:" + file
	}
	if path, ok := strings.CutPrefix(s, "file:"); ok && path != "" {
		return "file:" + c.path(path)
	}
	return s
}

// path is p seen from the data directory; "" stays.
func (c *Config) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Data, p)
}
