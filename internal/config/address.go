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

// redisURL tells whether s says where a Redis, or a Valkey, is.
func redisURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Fragment != "" {
		return false
	}
	return slices.Contains([]string{"redis", "rediss", "valkey", "valkeys"}, u.Scheme) && u.Host != "" || u.Scheme == "unix" && u.Path != ""
}

// WithoutPassword is an address as it may be shown. Passwords that are options are taken
// out, too.
func WithoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "[redacted]" // it was refused
	}
	_, hidden := u.User.Password()
	q := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if q.Has(name) {
			q.Set(name, "xxxxx")
			u.RawQuery, hidden = q.Encode(), true
		}
	}
	if !hidden {
		return address
	}
	return u.Redacted()
}
