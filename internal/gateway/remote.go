package gateway

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/carnetproject/carnet"
)

// remoteID is an issuer and where its keys are; the same keys are fetched once,
// whatever else changes.
type remoteID struct{ issuer, url string }

// remote tells whether the issuer publishes the keys of s.
func (s *JWTSecret) remote() bool { return s.JWKSURI != "" || s.Discovery }

// remote are the keys of s as they are fetched: those that all has for another
// credential or last has from before, else new ones.
func (v *vault) remote(s *JWTSecret, last, all *roster) (*carnet.Remote, error) {
	id := remoteID{s.Key, s.JWKSURI}
	r := all.remotes[id]
	if r == nil && last != nil {
		r = last.remotes[id]
	}
	if r == nil {
		var err error
		if r, err = s.keysFrom(v.transport, v.clock); err != nil {
			return nil, err
		}
	}
	all.remotes[id] = r
	return r, nil
}

// keysFrom checks where the keys are said to be. It fetches nothing yet.
func (s *JWTSecret) keysFrom(transport http.RoundTripper, clock func() time.Time) (*carnet.Remote, error) {
	return carnet.RemoteKeys(carnet.RemoteConfig{
		Issuer: s.Key, URL: s.JWKSURI, Client: &http.Client{Transport: transport}, Clock: clock,
	})
}

// straight is a transport for documents that are believed because of where they lie:
// it follows nothing that leads elsewhere.
type straight struct{ http.RoundTripper }

func newStraight() straight {
	return straight{&http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		ForceAttemptHTTP2:      true,
	}}
}

// RoundTrip refuses a redirect.
func (s straight) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	if err == nil && answer.StatusCode >= 300 && answer.StatusCode < 400 {
		_ = answer.Body.Close()
		return nil, errors.New("the answer leads elsewhere: write the URL it leads to")
	}
	return answer, err
}
