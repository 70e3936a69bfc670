package config

import (
	"net"
	"net/netip"

	"github.com/carnetproject/carnet/internal/api/kong"
)

// Admin says how the Kong-compatible Admin API on listen.admin behaves.
type Admin struct {
	KongVersion    kong.Version `yaml:"kong_version" enum:"3,0.14" doc:"The Kong whose shapes it has; 0.14 for scripts that were written for that"`
	Authentication string       `yaml:"authentication" enum:"secret,off" doc:"secret: callers show the admin secret; off: they show nothing, only if listen.admin is on loopback"`
	ShowSecrets    bool         `yaml:"show_secrets" doc:"Show the secrets of credentials in every answer, not only to those who set them"`
}

// Open tells whether callers of the Admin API show nothing.
func (a Admin) Open() bool { return a.Authentication == "off" }

func (v *validator) admin() {
	if v.Admin.Open() && !OnLoopback(v.Listen.Admin) {
		v.bad("admin.authentication", "off needs listen.admin on loopback, such as 127.0.0.1:8001: others could change who may pass")
	}
}

// OnLoopback reports whether only this machine reaches a listener at addr.
func OnLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// File is the configuration file as the operator named it, "" if there is none.
func (c *Config) File() string { return c.from.file }
