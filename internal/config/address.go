package config

import (
	"net/url"
	"slices"
)

// postgresURL tells whether s says where a PostgreSQL database is.
func postgresURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") && len(u.Path) > 1 && u.Fragment == ""
}

// redisURL tells whether s says where a Redis is.
func redisURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Fragment != "" {
		return false
	}
	return slices.Contains([]string{"redis", "rediss"}, u.Scheme) && u.Host != "" || u.Scheme == "unix" && u.Path != ""
}

// WithoutPassword is an address as it may be shown. A password that is an option is
// taken out, too.
func WithoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "[redacted]" // it was refused
	}
	q := u.Query()
	if q.Has("password") {
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	} else if _, set := u.User.Password(); !set {
		return address
	}
	return u.Redacted()
}
