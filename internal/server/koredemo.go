package server

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/httpx"
)

// koreDemo is what a page of Kore's web SDK needs to talk to the demo.
type koreDemo struct {
	APIURL       string `json:"koreAPIUrl"`
	JWTURL       string `json:"JWTUrl"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	Identity     string `json:"userIdentity"`
	BotInfo      struct {
		Name string `json:"name"`
		ID   string `json:"_id"`
	} `json:"botInfo"`
}

// members are the demo's values, by their names in demo.env.
func (d *koreDemo) members() map[string]*string {
	return map[string]*string{
		"CARNET_KORE_API_URL": &d.APIURL, "CARNET_KORE_JWT_URL": &d.JWTURL,
		"CARNET_KORE_CLIENT_ID": &d.ClientID, "CARNET_KORE_CLIENT_SECRET": &d.ClientSecret,
		"CARNET_KORE_IDENTITY": &d.Identity, "CARNET_KORE_BOT_ID": &d.BotInfo.ID, "CARNET_KORE_BOT_NAME": &d.BotInfo.Name,
	}
}

// demoNetworks are this machine's: whoever has a secret of the demo must be on it.
var demoNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// seedKore makes the app of the pages, which may be at any port of this machine, and
// returns the demo's values.
func (c *Core) seedKore(ctx context.Context) (string, error) {
	a, secret, err := c.Apps.Add(ctx, app.Registration{
		Name: "demo Kore page", Identity: app.Trusted, TrustedNetworks: demoNetworks,
		Origins: []string{"http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"},
	})
	if err != nil {
		return "", fmt.Errorf("make demo app for Kore pages: %w", err)
	}
	issuer := strings.TrimSuffix(c.Config.Issuer, "/")
	return strings.Join([]string{
		"CARNET_KORE_API_URL=" + issuer + c.Config.Chat.Kore.Prefix,
		"CARNET_KORE_JWT_URL=" + issuer + "/sts",
		"CARNET_KORE_CLIENT_ID=" + string(a.ID),
		"CARNET_KORE_CLIENT_SECRET=" + string(secret.Reveal()),
		"CARNET_KORE_IDENTITY=ann@example.com",
		"CARNET_KORE_BOT_ID=echo",
		"CARNET_KORE_BOT_NAME=echo",
	}, "\n"), nil
}

// readKoreDemo reads the values back; nil if demo.env is of an earlier version.
func readKoreDemo(env string) *koreDemo {
	d := &koreDemo{}
	members := d.members()
	for line := range strings.Lines(env) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if member := members[name]; member != nil {
			*member = value
		}
	}
	if d.ClientID == "" {
		return nil
	}
	return d
}

//go:embed koredemo.html
var koreDemoPage string

// page shows what to paste into a page of Kore's SDK, and defines
// the same as a value for a script. It has a secret in it, so it is for this machine
// alone.
func (d *koreDemo) page() (http.Handler, error) {
	page, err := template.New("kore").Parse(koreDemoPage)
	if err != nil {
		return nil, err
	}
	pretty, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]any{"Options": d, "Pretty": string(pretty)}); err != nil {
		return nil, err
	}
	return httpx.LoopbackHost(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(b.Bytes())
	})), nil
}
