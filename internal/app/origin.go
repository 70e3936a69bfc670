package app

import (
	"net/url"
	"slices"
	"strings"
)

// anyPort ends an entry of [App.Origins] that stands for every port of this machine, as
// in http://localhost:*. It is for those who write pages.
const anyPort = ":*"

// ListsOrigin tells whether an allow-list has an origin: as it stands, or as one of this
// machine whose port does not matter.
func ListsOrigin(list []string, origin string) bool {
	if slices.Contains(list, origin) {
		return true
	}
	host := onAnyPort(origin)
	return host != "" && slices.Contains(list, host)
}

// onAnyPort is the entry that stands for origin whatever its port; empty if origin is not
// on this machine.
func onAnyPort(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin || u.Scheme != "http" && u.Scheme != "https" || !loopback(u.Hostname()) {
		return ""
	}
	return u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"+u.Port()) + anyPort
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// wildOrigin tells whether o is an entry for every port of this machine.
func wildOrigin(o string) bool {
	host, ok := strings.CutSuffix(o, anyPort)
	return ok && onAnyPort(host) == o
}
