package gateway

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

// keyring holds the credentials in force, which all dialects share.
type keyring struct{ current atomic.Pointer[snapshot] }

type snapshot struct {
	set        *consumer.Set
	print      [sha256.Size]byte // of all that the set was made of
	generation uint64
}

// replace puts next in force. If it was made of the same things as what is, that
// stays, and with it every token verified so far. One call at a time.
func (k *keyring) replace(next *snapshot) {
	if now := k.current.Load(); now != nil {
		if now.print == next.print {
			return
		}
		next.generation = now.generation + 1
	}
	k.current.Store(next)
}

// dialect is how an issuer is read: which prefixes are followed by a device, and
// whether a prefix alone is an issuer too.
type dialect struct {
	prefixes []string // sorted
	denyBare bool
}

func newDialect(j *JWT) dialect {
	d := dialect{slices.Clone(j.IssuerPrefixes), j.DenyBarePrefix == nil || *j.DenyBarePrefix}
	slices.Sort(d.prefixes)
	d.prefixes = slices.Compact(d.prefixes)
	d.denyBare = d.denyBare && len(d.prefixes) > 0
	return d
}

// dialectID is a dialect that can be compared. Prefixes hold no blanks.
type dialectID struct {
	prefixes string
	denyBare bool
}

func (d dialect) id() dialectID { return dialectID{strings.Join(d.prefixes, " "), d.denyBare} }

// source finds the keys for tokens in one dialect.
type source struct {
	ring    *keyring
	dialect dialect
}

// Find looks for the credential that the issuer names by its form: a device's by
// prefix, any other by the whole. Within it the kid may choose among several keys,
// and never leads to another credential.
func (s *source) Find(_ context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	if h.Issuer == "" {
		return nil, carnet.ErrUnknownKey
	}
	set := s.ring.current.Load().set
	var cred *consumer.Credential
	if d, ok := parseIssuer(h.Issuer, s.dialect.prefixes); ok {
		cred = set.Prefix(d.prefix)
	} else if !s.dialect.denyBare || !slices.Contains(s.dialect.prefixes, h.Issuer) {
		cred = set.Find(h.Issuer)
	}
	if cred == nil {
		return nil, carnet.ErrUnknownKey
	}
	keys := cred.Candidates(h.Algorithm, h.KeyID)
	if len(keys) == 0 {
		return nil, carnet.ErrUnknownKey
	}
	return keys, nil
}

// Generation changes with the credentials.
func (s *source) Generation() uint64 { return s.ring.current.Load().generation }
