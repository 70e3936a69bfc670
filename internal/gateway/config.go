package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
)

// Config says which requests the gateway admits and where they go. It is plain
// data, as the file states it: a zero member means the default named beside it.
type Config struct {
	Cache     Size       `yaml:"cache"`   // memory for verified tokens; 64 MiB
	Plugins   Plugins    `yaml:"plugins"` // for every route
	Consumers []Consumer `yaml:"consumers"`
	Services  []Service  `yaml:"services"`
	Overrides []Override `yaml:"overrides"` // plugins attached to several things at once
}

// Consumer is who a token stands for, and the credentials that prove it.
type Consumer struct {
	Username   string      `yaml:"username"`
	CustomID   string      `yaml:"custom_id"`
	Groups     []string    `yaml:"groups"`
	JWTSecrets []JWTSecret `yaml:"jwt_secrets"`
	Plugins    Plugins     `yaml:"plugins"` // for its requests alone; those that come after jwt
}

// Override is plugins that are attached to several things at once: to at least two of
// a consumer, a service and a route.
type Override struct {
	Consumer string  `yaml:"consumer"` // its username
	Service  string  `yaml:"service"`
	Route    string  `yaml:"route"`
	Plugins  Plugins `yaml:"plugins"`
}

// JWTSecret is one credential. Its key material is exactly one of: a secret (for
// HS*), a public key (all others), or the name of a key set of Carnet's own.
type JWTSecret struct {
	Key       string `yaml:"key"`       // the iss of its tokens; the issuer, for the key set "access"
	Algorithm string `yaml:"algorithm"` // HS256; not with key_set, whose keys name their own
	Secret    Secret `yaml:"secret"`
	PublicKey string `yaml:"rsa_public_key"` // PEM; Kong's name, for every kind of key
	KeySet    string `yaml:"key_set"`
}

// Service is an upstream and the routes that lead to it.
type Service struct {
	Name           string        `yaml:"name"`
	URL            string        `yaml:"url"`             // http(s)://host[:port][/path] or internal://NAME
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // 5s
	ReadTimeout    time.Duration `yaml:"read_timeout"`    // until the response header; 60s
	Plugins        Plugins       `yaml:"plugins"`
	Routes         []Route       `yaml:"routes"`
}

// Route matches a request when each of Hosts, Methods and Paths that is not
// empty has an entry that matches. At least one must not be empty.
type Route struct {
	Name         string   `yaml:"name"`
	Hosts        []string `yaml:"hosts"` // exact, or *.example.com for every name below
	Methods      []string `yaml:"methods"`
	Paths        []string `yaml:"paths"`      // prefixes that end where a segment ends
	StripPath    *bool    `yaml:"strip_path"` // take the matched prefix off; true
	PreserveHost bool     `yaml:"preserve_host"`
	Plugins      Plugins  `yaml:"plugins"`
}

// Plugins are the checks of a route. The same one may be attached in several places;
// then the one attached most closely replaces the others as a whole (see [attachments]).
type Plugins struct {
	JWT *JWT `yaml:"jwt"`
	ACL *ACL `yaml:"acl"`
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
}

// ACL admits consumers by group. Exactly one of Allow and Deny is set.
type ACL struct {
	Allow            []string `yaml:"allow"`
	Deny             []string `yaml:"deny"`
	HideGroupsHeader bool     `yaml:"hide_groups_header"`
}

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
