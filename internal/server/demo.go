package server

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/web"
)

//go:embed demo.yaml
var demoConfig string

// DemoConfig writes the demo's configuration to path unless a file is there.
func DemoConfig(path string) error {
	if err := writePrivate(path, strings.TrimSuffix(demoConfig, "\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write demo configuration: %w", err)
	}
	return nil
}

// demoUser is who signs in to the demo.
const demoUser = "ann"

// Demo is what the demo consists of.
type Demo struct {
	EnvFile string       // its values as shell variables, for people to source
	Page    *web.Demo    // what its page has to know
	Kore    http.Handler // the page for Kore's web SDK; nil: its values were made before there was one
}

// webClient is the line of the demo's values that says which app its page is.
const webClient = "CARNET_WEB_CLIENT_ID="

// SeedDemo makes the demo's apps, user and secret at the first start, and writes
// their values to demo.env in the data directory. With that file in place it only
// reads it. Call it before the node serves, in [Core.Run].
func (c *Core) SeedDemo(ctx context.Context) (*Demo, error) {
	d := &Demo{EnvFile: filepath.Join(c.Config.Data, "demo.env"), Page: &web.Demo{}}
	for _, id := range c.Config.Chat.Bots.Names() {
		d.Page.Bots = append(d.Page.Bots, string(id))
	}
	if _, err := os.Stat(d.EnvFile); errors.Is(err, fs.ErrNotExist) {
		values, err := c.seed(ctx)
		if err != nil {
			return nil, err
		}
		if err := writePrivate(d.EnvFile, "# The demo's values. Use them with: . "+d.EnvFile+"\n"+values); err != nil {
			return nil, fmt.Errorf("write the demo's values: %w", err)
		}
	}
	text, err := os.ReadFile(d.EnvFile)
	if err != nil {
		return nil, fmt.Errorf("read the demo's values: %w", err)
	}
	if kore := readKoreDemo(string(text)); kore != nil {
		if d.Kore, err = kore.page(); err != nil {
			return nil, err
		}
	}
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), webClient); ok {
			d.Page.ClientID = id
		}
	}
	return d, nil
}

// seed makes what the demo needs and returns its values.
func (c *Core) seed(ctx context.Context) (string, error) {
	token, err := c.demoAppToken()
	if err != nil {
		return "", err
	}
	password := randomText(12)
	if err := c.demoUser(ctx, password); err != nil {
		return "", err
	}
	page, _, err := c.Apps.Add(ctx, app.Registration{Name: "demo page", Public: true, SessionAlgorithm: jose.ES256})
	if err != nil {
		return "", fmt.Errorf("make demo app: %w", err)
	}
	a, appSecret, err := c.Apps.Add(ctx, app.Registration{
		Name: "demo", Identity: app.Trusted, Scopes: []string{"demo"},
		TrustedNetworks: demoNetworks,
	})
	if err != nil {
		return "", fmt.Errorf("make demo app: %w", err)
	}
	kore, err := c.seedKore(ctx)
	if err != nil {
		return "", err
	}
	return strings.Join([]string{
		"CARNET_CLIENT_ID=" + string(a.ID),
		"CARNET_CLIENT_SECRET=" + string(appSecret.Reveal()),
		"CARNET_USER=" + demoUser,
		"CARNET_PASSWORD=" + password,
		"CARNET_APP_TOKEN=" + token,
		webClient + string(page.ID),
		kore,
	}, "\n"), nil
}

// demoUser makes the user, or gives the one of an earlier start a new password.
func (c *Core) demoUser(ctx context.Context, password string) error {
	_, err := c.Users.Add(ctx, demoUser, secret.FromString(password), []string{"demo", chatScope})
	if fault.KindOf(err) != fault.Conflict {
		return err
	}
	u, err := c.Users.ByName(ctx, demoUser)
	if err != nil {
		return err
	}
	return c.Users.SetPassword(ctx, u.ID, secret.FromString(password))
}

// demoAppToken signs the token that an app would have embedded, with the secret that
// the configuration names, and makes that secret.
func (c *Core) demoAppToken() (string, error) {
	file := filepath.Join(c.Config.Secrets.Dir, c.Config.Organization, "mobile-app")
	value, err := readOrMake(file, func() string { return randomText(keyBytes) })
	if err != nil {
		return "", fmt.Errorf("make demo secret: %w", err)
	}
	key, err := jose.NewSecretKey(jose.HS256, "", value.Reveal())
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(struct {
		Iss string `json:"iss"`
		Iat int64  `json:"iat"`
	}{"mobile_app", c.now().Unix()})
	if err != nil {
		return "", err
	}
	return key.Sign("JWT", claims)
}

// echo is the demo's upstream: it answers with what it received. Tokens are left out,
// so that a screenshot gives none away.
func echo(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[name] = strings.Join(values, ", ")
		if name == "Authorization" || name == "Cookie" {
			headers[name] = "[redacted]"
		}
	}
	httpx.WriteJSON(w, http.StatusOK, map[string]any{"method": r.Method, "path": r.URL.Path, "headers": headers})
}

// Welcome is what a newcomer reads when the demo is up: where things are, and
// commands to paste.
func Welcome(c *config.Config, envFile string) string {
	gateway, admin := "http://"+c.Listen.Gateway, "http://"+c.Listen.Admin
	return fmt.Sprintf(`
carnet is up, with a demo. Its data are in %[1]s.

  chat           %[2]s/  (sign in as %[6]s, password in demo.env, or come as a visitor)
  Kore.ai's SDK  %[2]s/kore  (options for a page of it)
  token service  %[2]s
  gateway        %[3]s
  metrics        %[4]s/metrics

Paste into another terminal:

  . %[5]s

  # an access token for the user, and the gateway with it and without
  TOKEN=$(curl -s %[2]s/login -d username=$CARNET_USER -d password=$CARNET_PASSWORD | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -i %[3]s/demo/hello -H "Authorization: Bearer $TOKEN"
  curl -i %[3]s/demo/hello
  curl -i %[3]s/open/hello

  # a token for an app
  curl %[2]s/oauth2/token -u $CARNET_CLIENT_ID:$CARNET_CLIENT_SECRET -d grant_type=client_credentials

  # a device registers with the app's embedded token, and calls with its own
  DEVICE=$(curl -s %[3]s/api/api-manager/v2/consumer/mobile_device/credential/register -H "Authorization: Bearer $CARNET_APP_TOKEN" \
    -H 'Content-Type: application/json' -d '{"request":{"key":"my-phone"}}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl -i %[3]s/demo/hello -H "Authorization: Bearer $DEVICE"

  # a session token for a visitor of a web page
  curl %[2]s/sts -d clientId=$CARNET_CLIENT_ID -d clientSecret=$CARNET_CLIENT_SECRET -d identity=ann@example.com

Stop with Ctrl-C. Start again: everything is still there.
`, c.Data, c.Issuer, gateway, admin, envFile, demoUser)
}
