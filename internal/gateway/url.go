package gateway

import (
	"errors"
	"net/url"
	"strings"
)

// address is where a service's URL leads.
type address struct {
	url      *url.URL // the base; its path is in normal form without a slash at the end
	internal string   // the name of a handler of this process instead, "" if none
}

// parseURL reads http(s)://host[:port][/path] or internal://NAME. Its errors are
// for the author of the configuration.
func parseURL(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("not a URL: write http://host:port/path or internal://name")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "internal":
		return address{}, errors.New("must start with http://, https:// or internal://")
	case u.Hostname() == "":
		return address{}, errors.New("names no host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return address{}, errors.New("must have no user, query or fragment")
	case u.Scheme == "internal":
		if u.Path != "" || u.Port() != "" {
			return address{}, errors.New("internal://name has no port and no path")
		}
		return address{internal: u.Host}, nil
	}
	path, err := normalPath(u.EscapedPath())
	if err != nil {
		return address{}, err
	}
	setPath(u, strings.TrimSuffix(path, "/"))
	return address{url: u}, nil
}

// setPath makes u say the path normal, letter by letter.
func setPath(u *url.URL, normal string) {
	u.Path, u.RawPath = normal, ""
	if strings.IndexByte(normal, '%') >= 0 {
		u.Path, _ = url.PathUnescape(normal) // a normal path has no invalid escape
	}
	if u.EscapedPath() != normal {
		u.RawPath = normal
	}
}
