package config

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/wire"
)

// Login says who knows those who sign in. Without a connector it is the built-in directory.
type Login struct {
	Connector string   `yaml:"connector" doc:"Alias of the API connector that checks user names and passwords, in place of the built-in directory"`
	Refresh   string   `yaml:"refresh" doc:"Alias of the one that is asked at each refresh whether the user may go on; without it a sign-in lasts until it expires or is revoked"`
	Scopes    []string `yaml:"scopes" doc:"What users may ask for if the connector does not say"`

	Title      string   `yaml:"title" doc:"What the pages to sign in call this place"`
	SessionTTL Duration `yaml:"session_ttl" doc:"How long a browser stays signed in"`
}

// maxTitle is the longest title, in bytes: it stands in one line.
const maxTitle = 64

func (v *validator) login() {
	if n := len(v.Login.Title); n == 0 || n > maxTitle || !utf8.ValidString(v.Login.Title) || strings.ContainsFunc(v.Login.Title, unicode.IsControl) {
		v.bad("login.title", "must be 1 to %d bytes of UTF-8 without control characters", maxTitle)
	}
	if v.Login.SessionTTL < Duration(time.Minute) || v.Login.SessionTTL == Forever {
		v.bad("login.session_ttl", "must be at least 1m and have an end")
	}
	if v.Login.Connector != "" {
		v.alias("login.connector", v.Login.Connector)
	} else if v.Login.Refresh != "" || len(v.Login.Scopes) > 0 {
		v.bad("login", "needs connector: the built-in directory has refresh and scopes of its own")
	}
	if v.Login.Refresh != "" {
		v.alias("login.refresh", v.Login.Refresh)
	}
	for i, s := range v.Login.Scopes {
		if !wire.ScopeToken(s) {
			v.bad(fmt.Sprintf("login.scopes[%d]", i), `must be printable ASCII without blank, " and \`)
		}
	}
}
