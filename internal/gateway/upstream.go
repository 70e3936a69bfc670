package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The default times of a service, and what its connections may hold.
const (
	connectTimeout  = 5 * time.Second
	readTimeout     = 60 * time.Second
	idleTimeout     = 90 * time.Second
	idleConnections = 256 // to one upstream; more are closed when they fall idle
	maxAnswerHeader = 256 << 10
)

// upstream is where a service's requests go.
type upstream struct {
	url      *url.URL // the base; its path is in normal form without a slash at the end
	internal string   // the name of a handler of this process instead, "" if none
}

// parseUpstream reads http(s)://host[:port][/path] or internal://NAME. Its
// errors are for the author of the configuration.
func parseUpstream(text string) (upstream, error) {
	u, err := url.Parse(text)
	if err != nil {
		return upstream{}, errors.New("not a URL: write http://host:port/path or internal://name")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "internal":
		return upstream{}, errors.New("must start with http://, https:// or internal://")
	case u.Hostname() == "":
		return upstream{}, errors.New("names no host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return upstream{}, errors.New("must have no user, query or fragment")
	case u.Scheme == "internal":
		if u.Path != "" || u.Port() != "" {
			return upstream{}, errors.New("internal://name has no port and no path")
		}
		return upstream{internal: u.Host}, nil
	}
	path, err := normalPath(u.EscapedPath())
	if err != nil {
		return upstream{}, err
	}
	setPath(u, strings.TrimSuffix(path, "/"))
	return upstream{url: u}, nil
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

// transport is the connections of one service. It takes no proxy from the
// environment and passes bodies as they are.
func (s *Service) transport() *http.Transport {
	connect, read := s.ConnectTimeout, s.ReadTimeout
	if connect == 0 {
		connect = connectTimeout
	}
	if read == 0 {
		read = readTimeout
	}
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connect}).DialContext,
		TLSHandshakeTimeout:    connect,
		ResponseHeaderTimeout:  read,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    idleConnections,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}
