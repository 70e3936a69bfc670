package config

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/secret"
)

// Devices says how devices get their tokens, and how people on them refresh theirs.
type Devices struct {
	Sets    []DeviceSet `yaml:"sets" doc:"Key sets that devices may register with (version 2)"`
	Legacy  []string    `yaml:"legacy" doc:"Consumers of the store that get an HS256 credential for each device (version 1)"`
	Refresh *Refresh    `yaml:"refresh" doc:"Access tokens for Keycloak's refresh tokens; left out: none"`
}

// DeviceSet is a key set that signs device tokens. In the file its name may stand
// for it.
type DeviceSet struct {
	Name     key.SetName `yaml:"name" doc:"Of the key set"`
	Form     device.Form `yaml:"form" enum:"design,shipped" doc:"Of the iss: PREFIX-device-timestamp, or the device key alone; design by default"`
	Redirect string      `yaml:"redirect" doc:"Where clients are sent instead, with status 447: a URL, or a path"`
}

// UnmarshalText takes the name of a set of the design form.
func (s *DeviceSet) UnmarshalText(text []byte) error {
	*s = DeviceSet{Name: key.SetName(text)}
	return nil
}

// Refresh says whose refresh tokens are taken, and what is given for them.
type Refresh struct {
	Issuer          string      `yaml:"issuer" doc:"Keycloak's realm, https://HOST/auth/realms/REALM: the iss of its tokens, and of those given for them"`
	KeyID           string      `yaml:"kid" doc:"Of public_key"`
	PublicKey       string      `yaml:"public_key" doc:"PEM of the realm's RS256 key, in place of jwks_uri"`
	JWKSURI         string      `yaml:"jwks_uri" doc:"Where the realm publishes its RS256 keys; without it and public_key, RS256 tokens are refused"`
	Secret          string      `yaml:"secret" doc:"SRN of the realm's secret in base64, for HS256 tokens (Keycloak 7 and later); without it those are refused"`
	KeySet          key.SetName `yaml:"key_set" doc:"Signs the access tokens"`
	OfflineValidity Duration    `yaml:"offline_validity" doc:"Of offline tokens, from their iat; 720h by default"`
	AccessValidity  Duration    `yaml:"access_validity" doc:"Of access tokens; 12h by default"`
	RolesURL        string      `yaml:"roles_url" doc:"Of Sunbird's learner service, which tells users' roles; without it all have the role PUBLIC"`
	RolesToken      string      `yaml:"roles_token" doc:"SRN of the bearer token for the learner service"`
}

// The validities that adminutil has, unless it is told others.
const (
	defaultOffline = Duration(30 * 24 * time.Hour)
	defaultAccess  = Duration(12 * time.Hour)
)

func (d *Devices) complete() {
	if r := d.Refresh; r != nil {
		r.OfflineValidity = cmp.Or(r.OfflineValidity, defaultOffline)
		r.AccessValidity = cmp.Or(r.AccessValidity, defaultAccess)
	}
}

func (v *validator) devices() {
	var names []key.SetName
	for i, s := range v.Devices.Sets {
		path := fmt.Sprintf("devices.sets[%d]", i)
		set := v.Keys[s.Name]
		switch {
		case set == nil:
			v.bad(path, "there is no key set %q%s", s.Name, suggest(string(s.Name), v.setNames()))
		case slices.Contains(names, s.Name):
			v.bad(path, "the key set %q is named twice", s.Name)
		case s.Name == AccessSet || s.Name == STSSet:
			v.bad(path, "the key set %q is not for devices, whose tokens must be no others", s.Name)
		case s.Form != device.Shipped && set.IssuerPrefix == "":
			v.bad(path, "the key set %q needs an issuer_prefix to sign device tokens of the form design", s.Name)
		}
		names = append(names, s.Name)
		if u, err := url.Parse(s.Redirect); s.Redirect != "" && (err != nil || !absolute(u) && (u.Host != "" || !strings.HasPrefix(u.Path, "/"))) {
			v.bad(path+".redirect", "must be an http or https URL, or a path from /")
		}
	}
	for i, name := range v.Devices.Legacy {
		if name == "" || slices.Contains(v.Devices.Legacy[:i], name) {
			v.bad(fmt.Sprintf("devices.legacy[%d]", i), "must be the username of another consumer")
		}
	}
	if v.Devices.Refresh != nil {
		v.refresh(v.Devices.Refresh, names)
	}
}

func (v *validator) refresh(r *Refresh, devices []key.SetName) {
	const at = "devices.refresh."
	if u, err := url.Parse(r.Issuer); err != nil || !absolute(u) || u.RawQuery != "" || u.Fragment != "" {
		v.bad(at+"issuer", "must be the http or https URL of a Keycloak realm")
	}
	switch {
	case r.PublicKey != "" && r.JWKSURI != "":
		v.bad(at+"jwks_uri", "set this or public_key, not both")
	case r.PublicKey == "" && r.JWKSURI == "" && r.Secret == "":
		v.bad("devices.refresh", "set at least one of public_key, jwks_uri and secret, to check tokens with")
	case (r.PublicKey == "") != (r.KeyID == ""):
		v.bad(at+"kid", "belongs to public_key: set both or none")
	}
	switch {
	case v.Keys[r.KeySet] == nil:
		v.bad(at+"key_set", "there is no key set %q%s", r.KeySet, suggest(string(r.KeySet), v.setNames()))
	case slices.Contains(devices, r.KeySet):
		v.bad(at+"key_set", "the key set %q signs device tokens, which must be no access tokens", r.KeySet)
	}
	v.reference(at+"secret", r.Secret)
	v.reference(at+"roles_token", r.RolesToken)
	v.limited(at+"offline_validity", r.OfflineValidity)
	v.limited(at+"access_validity", r.AccessValidity)
	if u, err := url.Parse(r.RolesURL); r.RolesURL != "" && (err != nil || !absolute(u)) {
		v.bad(at+"roles_url", "must be an http or https URL")
	}
	if r.RolesToken != "" && r.RolesURL == "" {
		v.bad(at+"roles_token", "has nobody to be shown to: set roles_url, too")
	}
}

// reference checks a secret that must not stand in the file.
func (v *validator) reference(path, ref string) {
	switch {
	case ref == "":
	case !secret.IsRef(ref):
		v.bad(path, "must be an SRN: the file is no place for it")
	default:
		v.srn(path, ref)
	}
}

// absolute tells whether u leads to an HTTP server, and says no password.
func absolute(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
