package gateway

import (
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/revocation"
)

// revocations tells which tokens were taken back.
type revocations interface {
	Epoch() uint64
	Revoked(t revocation.Token) bool
}

// inDialect is the list as the verifier of one dialect asks it.
type inDialect struct {
	revocations
	dialect dialect
}

// asked is the list for the verifier of d; nil if the gateway has none.
func (g *Gateway) asked(d dialect) carnet.Revocations {
	if g.revocations == nil {
		return nil
	}
	return inDialect{g.revocations, d}
}

// Revoked adds to what the token says of itself whose credential it was verified by
// and, in an issuer of a device's form, which device it names.
func (r inDialect) Revoked(v *carnet.Verified) bool {
	t := revocation.Of(v)
	if c, ok := v.Owner().(*consumer.Credential); ok {
		t.Credential = c.Key
	}
	if d, ok := parseIssuer(t.Issuer, r.dialect.prefixes); ok {
		t.Prefix, t.Device = d.prefix, d.name
		t.IssuedAt = registered(t.IssuedAt, t.Issuer)
	}
	return r.revocations.Revoked(t)
}

// registered is when a device's token was issued. The timestamp in its issuer has the
// milliseconds that iat lacks, and stands for it if there is none. Of two that differ
// the earlier one counts.
func registered(iat time.Time, issuer string) time.Time {
	ms, err := strconv.ParseInt(issuer[strings.LastIndexByte(issuer, '-')+1:], 10, 64)
	if err != nil { // beyond what an int64 holds
		return iat
	}
	at := time.UnixMilli(ms).UTC()
	if iat.IsZero() || at.Before(iat) || at.Sub(iat) < time.Second {
		return at
	}
	return iat
}
