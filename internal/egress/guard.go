package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Guard says where calls may lead. The zero Guard lets them go to public addresses, on
// any port.
type Guard struct {
	Networks []netip.Prefix // that are not public, and may be called all the same
	Hosts    []string       // names, in lower case, that may lead to any address
	Ports    []uint16       // nil: any
}

// RefusedError is of a connection that a [Guard] did not let happen.
type RefusedError struct {
	To   netip.AddrPort
	Port bool // it is the port that may not be called
}

// Error names the address alone: a host may be somebody's secret.
func (e *RefusedError) Error() string {
	if e.Port {
		return fmt.Sprintf("port %d may not be called: list it in ports to allow it", e.To.Port())
	}
	return fmt.Sprintf("the host leads to %s, which is not public: list its network to allow it", e.To.Addr())
}

// Check tells whether a connection to the address may be made for the host, whatever the
// host's name leads to now.
func (g Guard) Check(host string, to netip.AddrPort) error {
	addr := to.Addr().Unmap().WithZone("")
	if g.Ports != nil && !slices.Contains(g.Ports, to.Port()) {
		return &RefusedError{netip.AddrPortFrom(addr, to.Port()), true}
	}
	within := func(p netip.Prefix) bool { return p.Contains(addr) }
	if public(addr) || slices.ContainsFunc(g.Networks, within) || slices.Contains(g.Hosts, strings.ToLower(host)) {
		return nil
	}
	return &RefusedError{netip.AddrPortFrom(addr, to.Port()), false}
}

// control is g for a dialer: it sees the address after all names are resolved.
func control(g guard, host string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return g.Check(host, to)
	}
}

// Named are the networks that a URL's own host names: an address itself, and loopback
// by the name localhost. Whoever writes such a URL means it.
func Named(host string) []netip.Prefix {
	if strings.EqualFold(host, "localhost") {
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	return []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
}

// special are networks that net/netip does not tell from public ones (RFC 6890), and
// those in which an IPv4 address is wrapped.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("fec0::/10"),
}

func public(a netip.Addr) bool {
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(special, within)
}
