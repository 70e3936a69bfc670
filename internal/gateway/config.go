package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
)

// Config says which requests the gateway admits and where they go. It is plain
// data, as the file states it: a zero member means the default named beside it.
type Config struct {
	Cache     Size       `yaml:"cache"`    // memory for verified tokens; 40 MiB
	Counters  Size       `yaml:"counters"` // memory for what rate-limiting counts; 64 MiB
	Plugins   Plugins    `yaml:"plugins"`  // for every route
	Consumers []Consumer `yaml:"consumers"`
	Services  []Service  `yaml:"services"`
	Upstreams []Upstream `yaml:"upstreams"`
	Overrides []Override `yaml:"overrides"` // plugins attached to several things at once

	// CredentialCache is memory for the registry's credentials; 64 MiB.
	CredentialCache Size `yaml:"credential_cache"`

	// VerifyPath is where other gateways ask whether a request may pass; "": nowhere.
	VerifyPath string `yaml:"verify_path"`

	// RefusedPerIP is how many tokens of one network may be refused; zero: any number.
	RefusedPerIP limit.Rate `yaml:"refused_per_ip"`
}

// Consumer is who a token stands for, and the credentials that prove it.
type Consumer struct {
	Username   string      `yaml:"username"`
	CustomID   string      `yaml:"custom_id"`
	Groups     []string    `yaml:"groups"`
	JWTSecrets []JWTSecret `yaml:"jwt_secrets"`
	Plugins    Plugins     `yaml:"plugins"` // for its requests alone; those that come after jwt
}

// Override is plugins that are attached to several things at once, of a consumer, a
// service and a route, or to a consumer that the file does not have.
type Override struct {
	Consumer string  `yaml:"consumer"` // its username
	Service  string  `yaml:"service"`
	Route    string  `yaml:"route"`
	Plugins  Plugins `yaml:"plugins"`
}

// JWTSecret is one credential. Its key material is exactly one of: a secret (for
// HS*), one or several public keys (all others), the name of a key set of Carnet's own,
// or where the issuer publishes its keys.
type JWTSecret struct {
	Key        string   `yaml:"key"`       // the iss of its tokens; the issuer, for the key set "access"
	Algorithm  string   `yaml:"algorithm"` // HS256; not where keys name their own
	Secret     Secret   `yaml:"secret"`
	PublicKey  string   `yaml:"rsa_public_key"` // PEM; Kong's name, for every kind of key
	PublicKeys []string `yaml:"public_keys"`    // PEM; all are good, so that rotation overlaps
	KeySet     string   `yaml:"key_set"`
	JWKSURI    string   `yaml:"jwks_uri"`  // of the issuer's keys
	Discovery  bool     `yaml:"discovery"` // the issuer, whose URL Key is, says where they are
}

// Service is where requests go, and the routes that lead there.
type Service struct {
	Name           string        `yaml:"name"`
	URL            string        `yaml:"url"`             // http(s)://host[:port][/path] or internal://NAME; the host may be an upstream
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // 5s
	ReadTimeout    time.Duration `yaml:"read_timeout"`    // until the answer's header; 60s
	WriteTimeout   time.Duration `yaml:"write_timeout"`   // between two writes to the upstream; 60s
	Retries        *int          `yaml:"retries"`         // on how many further targets; 5
	TLSVerify      *bool         `yaml:"tls_verify"`      // check the certificate of https; true
	CACertificates string        `yaml:"ca_certificates"` // PEM; the system's if ""
	Plugins        Plugins       `yaml:"plugins"`
	Routes         []Route       `yaml:"routes"`
}

// Upstream is several targets under one name, which the URLs of services name as host.
type Upstream struct {
	Name        string        `yaml:"name"`
	Algorithm   string        `yaml:"algorithm"` // round-robin, or least-connections
	Targets     []Target      `yaml:"targets"`
	MaxFails    int           `yaml:"max_fails"`    // in a row, that put a target out; 3
	FailTimeout time.Duration `yaml:"fail_timeout"` // how long it stays out; 10s
}

// Target is one server of an upstream.
type Target struct {
	Target string `yaml:"target"` // host[:port]; 8000 as Kong has it
	Weight *int   `yaml:"weight"` // its share; 100. 0 takes it out
}

// Route matches a request when each of Hosts, Methods and Paths that is not empty has
// an entry that matches, and every one of Headers does. One at least must not be empty.
type Route struct {
	Name          string              `yaml:"name"`
	Hosts         []string            `yaml:"hosts"` // exact, *.example.com or example.*; with a port, if that counts
	Methods       []string            `yaml:"methods"`
	Paths         []string            `yaml:"paths"`          // prefixes that end where a segment ends, or ~/ and an expression
	Headers       map[string][]string `yaml:"headers"`        // one of the values each, or ~* and an expression
	RegexPriority int                 `yaml:"regex_priority"` // among expressions; the highest first
	Protocols     []string            `yaml:"protocols"`      // [http, https]; with https alone, plain HTTP is sent away
	HTTPSRedirect int                 `yaml:"https_redirect_status_code"`
	StripPath     *bool               `yaml:"strip_path"` // take what of the path matched off; true
	PreserveHost  bool                `yaml:"preserve_host"`
	Plugins       Plugins             `yaml:"plugins"`
}

// Plugins are the checks of a route. The same one may be attached in several places;
// then the one attached most closely replaces the others as a whole (see [attachments]).
type Plugins struct {
	CORS *CORS `yaml:"cors"`
	JWT  *JWT  `yaml:"jwt"`
	ACL  *ACL  `yaml:"acl"`

	RequestSizeLimiting *RequestSizeLimiting `yaml:"request-size-limiting"`

	RateLimiting *RateLimiting `yaml:"rate-limiting"`
}

// JWT asks for a token of a known credential.
type JWT struct {
	IssuerPrefixes    []string `yaml:"issuer_prefixes"`    // P of the issuers P-device-timestamp
	DenyBarePrefix    *bool    `yaml:"deny_bare_prefix"`   // refuse iss = P itself; true
	QueryNames        []string `yaml:"uri_param_names"`    // [jwt]
	CookieNames       []string `yaml:"cookie_names"`       // none
	HeaderNames       []string `yaml:"header_names"`       // [authorization]
	ClaimsToVerify    []string `yaml:"claims_to_verify"`   // of exp and nbf; none
	MaximumExpiration int      `yaml:"maximum_expiration"` // seconds ahead that exp may lie; 0: any
	Realm             string   `yaml:"realm"`
	RunOnPreflight    *bool    `yaml:"run_on_preflight"` // true

	KeyClaimName   string `yaml:"key_claim_name"`   // the claim, or else header, that names the credential; iss
	SecretIsBase64 bool   `yaml:"secret_is_base64"` // secrets are base64 of what signs
	KidLookup      bool   `yaml:"kid_lookup"`       // a header kid names the credential instead, an asymmetric one
	Anonymous      string `yaml:"anonymous"`        // the consumer that callers are who prove nothing; none
	AnonymousOn    string `yaml:"anonymous_on"`     // any: also with a bad token; or missing_only
	StatusProfile  string `yaml:"status_profile"`   // kong3, or sunbird: as Kong 0.14

	Leeway          int                 `yaml:"leeway"`           // seconds that clocks may differ by; 0
	Audience        []string            `yaml:"audience"`         // one of them must be in aud; any
	RequiredClaims  map[string][]string `yaml:"required_claims"`  // what must be there and, if values are listed, be one of them
	ClaimHeaders    map[string]string   `yaml:"claim_headers"`    // claim to the header that tells the upstream
	HideCredentials bool                `yaml:"hide_credentials"` // take the token out of the upstream's request
}

// ACL admits consumers by group. Exactly one of Allow and Deny is set, by its present
// or its old name.
type ACL struct {
	Allow            []string `yaml:"allow"`
	Deny             []string `yaml:"deny"`
	Whitelist        []string `yaml:"whitelist"` // allow until Kong 2.1
	Blacklist        []string `yaml:"blacklist"` // deny
	HideGroupsHeader bool     `yaml:"hide_groups_header"`
	// Groups that another plugin than jwt found out would come first. There is none,
	// so this changes nothing, as in Kong without such a plugin.
	AlwaysUseAuthenticatedGroups bool `yaml:"always_use_authenticated_groups"`
}

func (a *ACL) allowed() []string { return append(slices.Clone(a.Allow), a.Whitelist...) }
func (a *ACL) denied() []string  { return append(slices.Clone(a.Deny), a.Blacklist...) }

// Secret is a secret as the file states it: an SRN that says where it is kept,
// or the value. Printing it shows an SRN and hides a value.
type Secret struct{ secret.Bytes }

// SRN is the name of the secret, "" if it is stated by value.
func (s Secret) SRN() string {
	if b := s.Reveal(); bytes.HasPrefix(b, []byte("srn:")) {
		return string(b)
	}
	return ""
}

// UnmarshalText takes any text.
func (s *Secret) UnmarshalText(text []byte) error {
	s.Bytes = secret.New(bytes.Clone(text))
	return nil
}

// MarshalText is the SRN, or "[redacted]" in place of a value.
func (s Secret) MarshalText() ([]byte, error) {
	if s.Len() == 0 {
		return nil, nil
	}
	if n := s.SRN(); n != "" {
		return []byte(n), nil
	}
	return s.Bytes.MarshalText()
}

// MarshalYAML is [Secret.MarshalText] as a string.
func (s Secret) MarshalYAML() (any, error) {
	text, err := s.MarshalText()
	return string(text), err
}

// MarshalJSON is [Secret.MarshalText] as a string.
func (s Secret) MarshalJSON() ([]byte, error) {
	text, err := s.MarshalText()
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(text))
}

// Size is a number of bytes, written as a number with one of the units B, KiB,
// MiB and GiB, or with none.
type Size int64

var units = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// UnmarshalText reads what [Size.MarshalText] writes.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			break
		}
		*s = Size(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is not a size: write for example 64MiB", text)
}

// MarshalText uses the largest unit that divides s.
func (s Size) MarshalText() ([]byte, error) {
	i := 0
	for i < len(units)-2 && (s == 0 || int64(s)%units[i].size != 0) {
		i++
	}
	return append(strconv.AppendInt(nil, int64(s)/units[i].size, 10), units[i].suffix...), nil
}
