// Package device registers devices: it signs the token that a device then shows
// with each request. Nothing is stored; one verification key serves them all.
package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Set is a key set that devices may be registered with.
type Set struct {
	Algorithm    jose.Algorithm
	IssuerPrefix string // the token's issuer begins with it and a hyphen
}

// Config requires Keys. Sets is the whole list of key sets that may sign for
// devices: without one nobody can register, and no other set, such as that of
// access tokens, is ever used.
type Config struct {
	Keys  keys
	Sets  map[key.SetName]Set
	Clock func() time.Time // nil: time.Now
}

// Registrar registers devices. It is safe for concurrent use.
type Registrar struct{ c Config }

// New refuses sets whose tokens nobody could tell apart or check.
func New(c Config) (*Registrar, error) {
	if c.Keys == nil {
		return nil, errors.New("keys are required")
	}
	for name, s := range c.Sets {
		if s.IssuerPrefix == "" {
			return nil, fmt.Errorf("device set %s has no issuer prefix", name)
		}
		if !s.Algorithm.Valid() || s.Algorithm.Symmetric() {
			return nil, fmt.Errorf("device set %s has the algorithm %q: want an asymmetric one", name, s.Algorithm)
		}
		for other, o := range c.Sets {
			if other != name && strings.HasPrefix(o.IssuerPrefix+"-", s.IssuerPrefix+"-") {
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

// Register returns the token of the device that names itself deviceKey. It is
// signed by the set, without a typ; its issuer is the set's prefix, the key and
// the time in milliseconds, with hyphens between them. Registering again gives
// another token, and the first one stays good.
//
// A set that is not listed is [fault.NotFound], a bad key a [*KeyError].
func (r *Registrar) Register(ctx context.Context, set key.SetName, deviceKey string) (string, error) {
	if err := CheckKey(deviceKey); err != nil {
		return "", fault.Wrap(fault.Invalid, "the device key cannot be used", err)
	}
	s, ok := r.c.Sets[set]
	if !ok {
		return "", fault.New(fault.NotFound, "no devices are registered here")
	}
	now := r.c.Clock()
	text, err := json.Marshal(claims{
		Issuer:   s.IssuerPrefix + "-" + deviceKey + "-" + strconv.FormatInt(now.UnixMilli(), 10),
		IssuedAt: now.Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	token, err := r.c.Keys.Sign(ctx, set, s.Algorithm, "", text)
	if err != nil {
		return "", fmt.Errorf("sign device token: %w", err)
	}
	return token, nil
}
