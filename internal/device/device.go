// Package device registers devices: it signs the token that a device then shows
// with each request. Nothing is stored, and one verification key serves them all,
// but for devices of version 1, each of which has a credential of its own. It also
// gives people who signed in at Keycloak an access token for their refresh token.
package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
)

// keys signs claims with the active key of a set.
type keys interface {
	Sign(ctx context.Context, set key.SetName, alg jose.Algorithm, typ string, claims []byte) (string, error)
}

// Form is what the issuer of a device's token looks like.
type Form string

// The forms.
const (
	// Design is an issuer of prefix-device-milliseconds. A gateway finds the key by
	// the prefix and tells devices, and registrations, apart.
	Design Form = "design"
	// Shipped is an issuer that is the device key alone, as Sunbird's signer makes it
	// since June 2020. A gateway finds the key by the kid.
	Shipped Form = "shipped"
)

// Set is a key set that devices may be registered with.
type Set struct {
	Algorithm    jose.Algorithm
	Form         Form   // "": Design
	IssuerPrefix string // of the design form
}

// Config requires Keys, and Legacy if there are LegacyConsumers. Sets is the whole
// list of key sets that may sign for devices: without one nobody can register with
// version 2, and no other set, such as that of access tokens, is ever used.
type Config struct {
	Keys            keys
	Sets            map[key.SetName]Set
	Legacy          legacy
	LegacyConsumers []string // those that version 1 may register for
	Reserved        []string // issuer prefixes; those of Sets are reserved anyway
	Clock           func() time.Time
}

// Registrar registers devices. It is safe for concurrent use.
type Registrar struct{ c Config }

// New refuses sets whose tokens nobody could tell apart or check.
func New(c Config) (*Registrar, error) {
	if c.Keys == nil {
		return nil, errors.New("keys are required")
	}
	if len(c.LegacyConsumers) > 0 && c.Legacy == nil {
		return nil, errors.New("legacy consumers need a store of credentials")
	}
	c.Reserved = slices.Clone(c.Reserved)
	for name, s := range c.Sets {
		if !s.Algorithm.Valid() || s.Algorithm.Symmetric() {
			return nil, fmt.Errorf("device set %s has the algorithm %q: want an asymmetric one", name, s.Algorithm)
		}
		switch {
		case s.Form == Shipped:
			continue
		case s.Form != Design && s.Form != "":
			return nil, fmt.Errorf("device set %s has the form %q: want design or shipped", name, s.Form)
		case s.IssuerPrefix == "":
			return nil, fmt.Errorf("device set %s has no issuer prefix", name)
		}
		c.Reserved = append(c.Reserved, s.IssuerPrefix)
		for other, o := range c.Sets {
			if other != name && o.Form != Shipped && strings.HasPrefix(o.IssuerPrefix+"-", s.IssuerPrefix+"-") {
				return nil, fmt.Errorf("issuers of the device sets %s and %s cannot be told apart: their prefixes are %q and %q",
					name, other, s.IssuerPrefix, o.IssuerPrefix)
			}
		}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Registrar{c}, nil
}

// claims are all that a device's token says: it has no end of its own.
type claims struct {
	Issuer   string `json:"iss"`
	IssuedAt int64  `json:"iat"`
}

// Register returns the token of the device that names itself deviceKey, signed by
// the set, without a typ. Its issuer has the set's form. Nothing is read or written:
// registering again gives another token, and the first one stays good.
//
// A set that is not listed is [fault.NotFound], a bad key a [*KeyError].
func (r *Registrar) Register(ctx context.Context, set key.SetName, deviceKey string) (string, error) {
	s, ok := r.c.Sets[set]
	if err := r.check(deviceKey, s.Form == Shipped); err != nil {
		return "", err
	}
	if !ok {
		return "", errNoSet
	}
	issuer, now := deviceKey, r.c.Clock()
	if s.Form != Shipped {
		issuer = s.IssuerPrefix + "-" + deviceKey + "-" + strconv.FormatInt(now.UnixMilli(), 10)
	}
	text, err := json.Marshal(claims{issuer, now.Unix()})
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	token, err := r.c.Keys.Sign(ctx, set, s.Algorithm, "", text)
	if err != nil {
		return "", fmt.Errorf("sign device token: %w", err)
	}
	return token, nil
}

var errNoSet = fault.New(fault.NotFound, "no devices are registered here")

// check tells what is wrong with a key. One that is to be a whole issuer must not
// look like one of the design form.
func (r *Registrar) check(deviceKey string, whole bool) error {
	if err := CheckKey(deviceKey); err != nil {
		return fault.Wrap(fault.Invalid, "the device key cannot be used", err)
	}
	if !whole {
		return nil
	}
	for _, prefix := range r.c.Reserved {
		if strings.HasPrefix(deviceKey+"-", prefix+"-") {
			return fault.Wrap(fault.Invalid, "the device key cannot be used", &KeyError{[]Problem{Reserved}})
		}
	}
	return nil
}
