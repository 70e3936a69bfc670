package gateway

import (
	"net/netip"

	"github.com/carnetproject/carnet/internal/limit"
)

// What limit_by may be. All but the last two are Kong's.
const (
	perConsumer   = "consumer"
	perCredential = "credential"
	perIP         = "ip"
	perService    = "service"
	perHeader     = "header"
	perPath       = "path"
	perDevice     = "device"
	perIssuer     = "full_issuer"
)

var limitBy = []string{perConsumer, perCredential, perIP, perService, perHeader, perPath, perDevice, perIssuer}

// caller is whom a request counts for. A name of one kind is never one of another,
// so that nobody can spend the limit of an address by sending it in a header.
type caller struct {
	kind string // of limitBy
	of   string // the consumer, "" if there is none
	name string
}

// caller is the one that the plugin counts by, and where the request has none, the
// network that it comes from.
func (s *rateStage) caller(r *request) caller {
	switch s.by {
	case perService:
		return caller{perService, "", s.service}
	case perHeader:
		if v := r.first(s.header); v != "" {
			return caller{perHeader, "", v}
		}
	case perPath:
		if r.path == s.path {
			return caller{perPath, "", s.path}
		}
	case perIP:
	default:
		if id, ok := r.principal.caller(s.by); ok {
			return id
		}
	}
	return caller{perIP, "", network(r.addr)}
}

// caller is p's identity of one kind, within its consumer. p may be nil: then there is
// none, and without a credential there is only the consumer.
func (p *Principal) caller(by string) (caller, bool) {
	switch {
	case p == nil:
		return caller{}, false
	case by == perConsumer:
		return caller{perConsumer, p.Consumer.ID, ""}, true
	case p.Credential == nil:
		return caller{}, false
	case by == perDevice && p.Device != "":
		return caller{perDevice, p.Consumer.ID, p.Device}, true
	case by == perIssuer && p.Token.Issuer() != "":
		return caller{perIssuer, p.Consumer.ID, p.Token.Issuer()}, true
	default: // also for one that is no device, but may have a credential as a device has
		return caller{perCredential, p.Consumer.ID, p.Identity}, true
	}
}

// network is the name of the network that counts as one holder of addresses.
func network(a netip.Addr) string {
	if a.Is4() || a.Is4In6() {
		return a.Unmap().String()
	}
	return limit.Network(a).String()
}
