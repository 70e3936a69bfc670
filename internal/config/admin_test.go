package config

import (
	"strings"
	"testing"
)

func TestOnLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:8001": true, "127.9.9.9:0": true, "[::1]:8001": true, "localhost:8001": true,
		":8001": false, "0.0.0.0:8001": false, "[::]:8001": false, "10.0.0.1:8001": false, "admin.example:8001": false,
	} {
		if got := OnLoopback(addr); got != want {
			t.Errorf("OnLoopback(%q) = %v, want %v", addr, got, want)
		}
	}
}

func TestAdminIsOpenOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	for addr, open := range map[string]bool{"127.0.0.1:8001": true, ":8001": false, "10.0.0.1:8001": false} {
		for _, authentication := range []string{"secret", "off"} {
			c := Default()
			c.complete()
			c.Listen.Admin, c.Admin.Authentication = addr, authentication
			err := c.Validate(nil)
			refused := err != nil && strings.Contains(err.Error(), "admin.authentication")
			if want := authentication == "off" && !open; refused != want {
				t.Errorf("%s at %s: %v, want a refusal: %v", authentication, addr, err, want)
			}
		}
	}
}
