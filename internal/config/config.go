// Package config reads what an operator tells a node: flags before environment
// before file before defaults, strictly, and all mistakes at once, each with its
// place and what would be right.
package config

import (
	"net/netip"

	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
)

// Config is a node's whole configuration. What [Load] returns is complete and
// valid: defaults are filled in and relative paths lead from the data directory.
//
// The doc tag describes a member in the JSON Schema, enum lists its values.
type Config struct {
	Organization   string                  `yaml:"organization" doc:"The organization that SRNs name"`
	Data           string                  `yaml:"data" doc:"Directory of the node's files; relative paths below lead from here"`
	Doors          []string                `yaml:"doors" enum:"issue,admit,carry" doc:"What this node does: issue tokens, admit requests, carry conversations"`
	Issuer         string                  `yaml:"issuer" doc:"The iss of access tokens, a URL; by default that of listen.public"`
	Audience       string                  `yaml:"audience" doc:"The aud of access tokens; by default the issuer"`
	Listen         Listen                  `yaml:"listen" doc:"Addresses to listen on, host:port"`
	TLS            TLS                     `yaml:"tls" doc:"Certificate of the public and gateway listeners; both or none"`
	RequireHTTPS   bool                    `yaml:"require_https" doc:"Refuse plain HTTP, except on loopback"`
	TrustedProxies []netip.Prefix          `yaml:"trusted_proxies" doc:"Networks whose X-Forwarded-* headers are believed"`
	ShutdownDelay  Duration                `yaml:"shutdown_delay" doc:"How long a node that stops still takes requests while /readyz says draining, for load balancers to notice; 0s by default"`
	ShutdownGrace  Duration                `yaml:"shutdown_grace" doc:"How long running requests may take to finish at a stop"`
	Log            Log                     `yaml:"log"`
	Traces         Traces                  `yaml:"traces"`
	Store          string                  `yaml:"store" doc:"Where everything is kept: sqlite://PATH, or postgres://USER@HOST/DATABASE for several nodes; by default carnet.db in data"`
	Bus            string                  `yaml:"bus" doc:"How nodes tell one another what is new: local for one node, or redis://HOST:PORT"`
	PollInterval   Duration                `yaml:"poll_interval" doc:"How often to look for changes that others made in the store"`
	Secrets        Secrets                 `yaml:"secrets"`
	MasterKeys     MasterKeys              `yaml:"master_keys" doc:"Where to read the keys that seal everything else: file:PATH, env:NAME, stdin, or an SRN"`
	Keys           map[key.SetName]*KeySet `yaml:"keys" doc:"Sets of signing keys; access and sts are always there"`
	Tokens         Tokens                  `yaml:"tokens" doc:"Lifetimes of tokens"`
	Login          Login                   `yaml:"login" doc:"Who knows those who sign in"`
	Limits         Limits                  `yaml:"limits" doc:"How often requests may come: a count in each s, m or h, or none"`
	Devices        Devices                 `yaml:"devices"`
	Admin          Admin                   `yaml:"admin"`
	Audit          Audit                   `yaml:"audit" doc:"What the audit log keeps"`
	Chat           Chat                    `yaml:"chat"`
	Connectors     []string                `yaml:"connectors" doc:"Files of API connectors, or directories of them; relative paths lead from this file"`
	Egress         Egress                  `yaml:"egress" doc:"Where connectors may call"`
	Gateway        gateway.Config          `yaml:"gateway" doc:"Routes, services, consumers and plugins"`

	from provenance
}

// The doors of a node.
const (
	Issue = "issue"
	Admit = "admit"
	Carry = "carry"
)

// Listen has the addresses of the three listeners.
type Listen struct {
	Public  string `yaml:"public" doc:"The token service and the chat"`
	Gateway string `yaml:"gateway" doc:"The gateway"`
	Admin   string `yaml:"admin" doc:"Admin API, metrics and health"`
}

// TLS names PEM files, which are read again when they change.
type TLS struct {
	Cert string `yaml:"cert" doc:"File with the certificate chain"`
	Key  string `yaml:"key" doc:"File with its private key"`
}

// Log says what is logged, and how.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error"`
	Format string `yaml:"format" enum:"text,json"`
}

// MasterKeys says where the two master keys come from. Only a node with the
// issue door reads Signing. Defaults are files in data, made at the first start.
type MasterKeys struct {
	Signing string `yaml:"signing" doc:"Seals private signing keys; needed by the issue door alone"`
	Data    string `yaml:"data" doc:"Seals stored secrets"`
}

// KeySet is one set of signing keys. All algorithms of a set rotate together.
type KeySet struct {
	Algorithms   []jose.Algorithm `yaml:"algorithms" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA" doc:"One signing key of each; the first is the default"`
	RSABits      int              `yaml:"rsa_bits" doc:"Size of new RSA keys: 2048, 3072 or 4096; keys that are there stay"`
	KidPrefix    string           `yaml:"kid_prefix" doc:"Key ids are this prefix and a number; without it, RFC 7638 thumbprints"`
	IssuerPrefix string           `yaml:"issuer_prefix" doc:"The iss of device tokens starts so: PREFIX-device-timestamp"`
	Active       int              `yaml:"active" doc:"How many keys of each algorithm sign at a time, each token by one of them at random"`
	Rotation     Duration         `yaml:"rotation" doc:"Age at which a new key takes over; 0s: never by itself"`
	PublishAhead Duration         `yaml:"publish_ahead" doc:"How long a new key is published before it signs"`
	Verification Duration         `yaml:"verification" doc:"How long a key that no longer signs still verifies, or forever"`
}

// Spec is s as the ring of keys takes it.
func (s *KeySet) Spec(name key.SetName) key.Spec {
	return key.Spec{
		Name: name, Algorithms: s.Algorithms, Active: s.Active, RSABits: s.RSABits, KidPrefix: s.KidPrefix, IssuerPrefix: s.IssuerPrefix,
		Rotation: s.Rotation.Std(), PublishAhead: s.PublishAhead.Std(), Verification: s.Verification.Std(),
	}
}

// Tokens has the lifetimes of what the node issues.
type Tokens struct {
	AccessTTL  Duration `yaml:"access_ttl" doc:"Of access tokens"`
	RefreshTTL Duration `yaml:"refresh_ttl" doc:"Of a sign-in that is not refreshed"`
	STSTTL     Duration `yaml:"sts_ttl" doc:"Of session tokens from /sts"`
}

// Limits bounds requests of the issue door, and device registrations. The zero Rate is no limit.
type Limits struct {
	STSPerIP       limit.Rate `yaml:"sts_per_ip" doc:"POST /sts from one address"`
	STSPerApp      limit.Rate `yaml:"sts_per_app" doc:"POST /sts for one app"`
	STSPerIdentity limit.Rate `yaml:"sts_per_identity" doc:"POST /sts for one identity of an app, once it is believed"`
	LoginPerIP     limit.Rate `yaml:"login_per_ip" doc:"POST /login from one address"`
	LoginPerUser   limit.Rate `yaml:"login_per_user" doc:"POST /login for one user name from one network; ten times that from all of them"`
	TokenPerApp    limit.Rate `yaml:"token_per_app" doc:"POST /oauth2/token by one app"`
	AboutPerApp    limit.Rate `yaml:"introspect_per_app" doc:"POST /oauth2/introspect and /oauth2/revoke by one app"`

	RegisterPerDevice limit.Rate `yaml:"register_per_device" doc:"Registrations of one device key"`
	RegisterPerIP     limit.Rate `yaml:"register_per_ip" doc:"Registrations from one address"`
}

// Chat is about conversations.
type Chat struct {
	Bots             Bots       `yaml:"bots" doc:"Who there is to talk to, by name; a list of names is enough for built-in bots"`
	ConnectionsPerIP int        `yaml:"connections_per_ip" doc:"Sockets of one address at a time"`
	ConnectsPerIP    limit.Rate `yaml:"connects_per_ip" doc:"Attempts of one address to connect"`
	SendsPerUser     limit.Rate `yaml:"sends_per_user" doc:"Messages of one user"`
	Compression      bool       `yaml:"compression" doc:"Compress the frames of clients that offer it (permessage-deflate)"`
	Retention        Duration   `yaml:"retention" doc:"How long messages are kept at least, 24h or more, or forever; older ones are deleted within an hour, by PostgreSQL when their month has ended"`
	Kore             Kore       `yaml:"kore"`
}

// The key sets that every node has.
const (
	AccessSet key.SetName = "access"
	STSSet    key.SetName = "sts"
)
