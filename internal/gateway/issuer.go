package gateway

import "strings"

// Bounds of an issuer of the form prefix-device-timestamp.
const (
	maxDevice    = 128
	minTimestamp = 10
	maxTimestamp = 19 // digits; more would overflow an int64 of milliseconds
)

// device is what an issuer of the form prefix-device-timestamp says.
type device struct {
	prefix string // the key of the credential that verifies all devices
	name   string
}

// parseIssuer tells whether iss is one of the prefixes, "-", a device, "-" and a
// timestamp. A device may hold dashes itself, so the first dash ends the prefix
// and the last begins the timestamp. The form alone decides: an issuer that has
// it is never looked up as a whole, and any other is.
func parseIssuer(iss string, prefixes []string) (d device, ok bool) {
	first, last := strings.IndexByte(iss, '-'), strings.LastIndexByte(iss, '-')
	if first == last {
		return device{}, false
	}
	d = device{prefix: iss[:first], name: iss[first+1 : last]}
	if d.name == "" || len(d.name) > maxDevice || !visible(d.name) || !timestamp(iss[last+1:]) {
		return device{}, false
	}
	for _, p := range prefixes {
		if p == d.prefix {
			return d, true
		}
	}
	return device{}, false
}

func timestamp(s string) bool {
	if len(s) < minTimestamp || len(s) > maxTimestamp {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
