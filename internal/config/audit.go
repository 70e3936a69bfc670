package config

import (
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
)

// Audit says what the audit log keeps.
type Audit struct {
	Addresses audit.Addresses `yaml:"addresses" enum:"full,network,none" doc:"How much of clients' addresses: full, network (the first 24 bits, of IPv6 48), or none"`
	Tokens    bool            `yaml:"tokens" doc:"Whether each token that is issued is an entry, too"`
	Retention Duration        `yaml:"retention" doc:"How long entries are kept, 24h or more, or forever"`
}

// minAudit leaves time to notice that something is wrong.
const minAudit = Duration(24 * time.Hour)

func (v *validator) audit() {
	if !slices.Contains([]audit.Addresses{audit.Full, audit.Network, audit.None}, v.Audit.Addresses) {
		v.bad("audit.addresses", "must be full, network or none")
	}
	if v.Audit.Retention < minAudit {
		v.bad("audit.retention", "must be at least %s, or forever", minAudit)
	}
}
