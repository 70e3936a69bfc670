package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	connectorJSON = `{"Alias":"Verify","Method":"POST","Endpoint":"https://auth.example.com/verify","Body":{},
		"Headers":{"Authorization":"srn:vault::default:secret:key"},
		"RequestMapping":{"t":{"type":"requestBody","inputPath":"$.token","requestBodyPath":"$.token"}}}`
	fileJSON = `{"Alias":"Verify","Method":"POST","Endpoint":"https://auth.example.com/verify",
		"RequestMapping":{"t":{"type":"requestBody","inputPath":"$.photo","requestBodyPath":"$.photo","encoding":"Base64"}}}`
	connectorYAML = "Alias: countries\nMethod: GET\nEndpoint: https://countries.example.com/${name}\nTimeoutMs: 500\n" +
		"RequestMapping:\n  c: {type: requestURL, inputPath: $.name, requestParameter: name}\n"
	profileJSON = `{"Alias":"Bank","Type":"oauth2","Vendor":"default","Configuration":{"RedirectUrl":"https://bank.example/chat","ClientId":"carnet",
		"ClientSecret":"srn:vault::default:secretdoc:client","AuthenticationUrl":"https://login.example/authorize","AccessUrl":"https://login.example/token"}}`
	groupJSON = `{"id":"g1","evaluations":[{"key":"statusCode","value":401,"comparison":"EQUALS"}],"identifiers":["ipAddress"],"steps":[{"restrictOnFail":true,"ttl":10}]}`
)

// loadWith writes a configuration file and others beside it, and loads it.
func loadWith(t *testing.T, yaml string, files map[string]string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	files["carnet.yaml"] = yaml
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(Options{Path: filepath.Join(dir, "carnet.yaml")})
}

func TestConnectors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		yaml  string
		files map[string]string
		want  string // the aliases, or parts of the error after "!", between "|"
	}{
		"none":           {``, map[string]string{}, ``},
		"one":            {`connectors: [verify.json]`, map[string]string{"verify.json": connectorJSON}, `verify`},
		"YAML":           {`connectors: [c.yaml]`, map[string]string{"c.yaml": connectorYAML}, `countries`},
		"list":           {`connectors: [all.json]`, map[string]string{"all.json": "[" + connectorJSON + "," + groupJSON + "]"}, `verify`},
		"YAML list":      {`connectors: [all.yml]`, map[string]string{"all.yml": "- " + strings.ReplaceAll(strings.TrimSpace(connectorYAML), "\n", "\n  ")}, `countries`},
		"directory":      {`connectors: [apis]`, map[string]string{"apis/a.json": connectorJSON, "apis/b.yaml": connectorYAML, "apis/README.md": "x", "apis/old/c.json": "x"}, `countries verify`},
		"group":          {`connectors: [a.json, g.json]`, map[string]string{"a.json": strings.Replace(connectorJSON, `"Body"`, `"RestrictionGroup":"g1","Body"`, 1), "g.json": groupJSON}, `verify`},
		"no group":       {`connectors: [a.json]`, map[string]string{"a.json": strings.Replace(connectorJSON, `"Body"`, `"RestrictionGroup":"g1","Body"`, 1)}, `!connectors: |a.json: /RestrictionGroup: there is no restriction group "g1"`},
		"profile":        {`connectors: [a.json, p.json]`, map[string]string{"a.json": connectorJSON, "p.json": strings.Replace(profileJSON, `"ClientId"`, `"ApiAlias":"VERIFY","ClientId"`, 1)}, `verify`},
		"bad profile":    {`connectors: [p.json]`, map[string]string{"p.json": "[" + strings.Replace(profileJSON, "https://bank", "http://bank", 1) + "]"}, `!p.json: /0/Configuration/RedirectUrl: must be an https address`},
		"no API":         {`connectors: [p.json]`, map[string]string{"p.json": strings.Replace(profileJSON, `"ClientId"`, `"ApiAlias":"none","ClientId"`, 1)}, `!connectors: |p.json: /Configuration/ApiAlias: there is no connector "none"`},
		"two profiles":   {`connectors: [p.json, q.json]`, map[string]string{"p.json": profileJSON, "q.json": strings.Replace(profileJSON, "Bank", "BANK", 1)}, `!q.json: the auth profile bank is in |p.json, too`},
		"missing":        {`connectors: [none.json]`, map[string]string{}, `!connectors[0]: |none.json: there is no such file`},
		"not JSON":       {`connectors: [a.json]`, map[string]string{"a.json": "{"}, `!a.json: is not JSON`},
		"not a list":     {`connectors: [a.json]`, map[string]string{"a.json": "[{"}, `!a.json: is not JSON`},
		"not YAML":       {`connectors: [a.yaml]`, map[string]string{"a.yaml": "a: [b"}, `!a.yaml: is not YAML`},
		"too large":      {`connectors: [a.json]`, map[string]string{"a.json": strings.Repeat(" ", maxFile+1)}, `!a.json: must be at most`},
		"all faults":     {`connectors: [a.json, b.yaml]`, map[string]string{"a.json": strings.Replace(connectorJSON, `"POST"`, `"TRACE"`, 1), "b.yaml": connectorYAML + "Colour: red\n"}, `!:1:14: connectors[0]: |a.json: /Method: must be one of|connectors[1]: |b.yaml: /Colour: is not known`},
		"in a list":      {`connectors: [a.json]`, map[string]string{"a.json": "[" + groupJSON + "," + strings.Replace(connectorJSON, `"POST"`, `"TRACE"`, 1) + "]"}, `!a.json: /1/Method: must be one of`},
		"bad group":      {`connectors: [g.json]`, map[string]string{"g.json": strings.Replace(groupJSON, "10", "0", 1)}, `!g.json: /steps/0/ttl: must be`},
		"twice":          {`connectors: [a.json, b.json]`, map[string]string{"a.json": connectorJSON, "b.json": strings.Replace(connectorJSON, "Verify", "VERIFY", 1)}, `!b.json: the connector verify is in |a.json, too`},
		"two groups":     {`connectors: [a.json, b.json]`, map[string]string{"a.json": groupJSON, "b.json": groupJSON}, `!b.json: the restriction group g1 is in |a.json, too`},
		"other's secret": {`{organization: acme, connectors: [a.json]}`, map[string]string{"a.json": connectorJSON}, `!a.json: /Headers/Authorization: srn:vault::default:secret:key names the organization`},
		"http":           {`connectors: [a.json]`, map[string]string{"a.json": strings.Replace(connectorJSON, "https", "http", 1)}, `!/Endpoint: must be https`},
		"http allowed":   {`{egress: {allow_insecure: true}, connectors: [a.json]}`, map[string]string{"a.json": strings.Replace(connectorJSON, "https", "http", 1)}, `verify`},
		"port":           {`connectors: [a.json]`, map[string]string{"a.json": strings.Replace(connectorJSON, ".com", ".com:8443", 1)}, `!/Endpoint: must have one of the ports`},
		"port allowed":   {`{egress: {ports: [8443]}, connectors: [a.json]}`, map[string]string{"a.json": strings.Replace(connectorJSON, ".com", ".com:8443", 1)}, `verify`},
		"bad egress":     {`egress: {allow: [10.0.0.0/8, "a b", ""], ports: [0]}`, map[string]string{}, `!egress.allow[1]: must be|egress.allow[2]: must be|egress.ports[0]: must be 1 to 65535`},
		"bad files":      {`egress: {files: [files.example.com, "https://files.example.com", 10.0.0.0/8, "[::1]"]}`, map[string]string{}, `!egress.files[1]: must be the name of a host|egress.files[2]: must be|egress.files[3]: must be`},
		"file":           {`connectors: [a.json]`, map[string]string{"a.json": fileJSON}, `!a.json: /RequestMapping/t/encoding: fetches a file whose URL the input has: name the hosts|egress.files`},
		"file allowed":   {`{egress: {files: [Files.example.com, "::1"]}, connectors: [a.json]}`, map[string]string{"a.json": fileJSON}, `verify`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := loadWith(t, tc.yaml, tc.files)
			if parts, refused := strings.CutPrefix(tc.want, "!"); refused {
				for part := range strings.SplitSeq(parts, "|") {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("Load() error = %v, want %q", err, part)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			apis, err := c.APIs()
			var aliases []string
			for alias := range apis.Connectors {
				aliases = append(aliases, alias)
			}
			slices.Sort(aliases)
			if err != nil || strings.Join(aliases, " ") != tc.want || len(apis.Warnings) > 0 {
				t.Errorf("APIs() = %v, %v, %v, want %s", aliases, apis.Warnings, err, tc.want)
			}
		})
	}
}

func TestConnectorWarnings(t *testing.T) {
	t.Parallel()
	c, err := loadWith(t, `connectors: [a.json]`, map[string]string{"a.json": strings.Replace(connectorJSON, `"Body"`, `"Type":"private-api-connecter","Body"`, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if apis, err := c.APIs(); err != nil || len(apis.Warnings) != 1 || !strings.HasSuffix(apis.Warnings[0], "a.json: /Type: is taken for private-api-connector") {
		t.Errorf("APIs() warns %q, %v", apis.Warnings, err)
	}
}

func TestEgressGuard(t *testing.T) {
	t.Parallel()
	g := Egress{Allow: []string{"10.0.0.0/8", "192.168.1.5", "Auth.Corp"}}.Guard()
	for to, want := range map[string]bool{"10.1.1.1:443": true, "192.168.1.5:80": true, "192.168.1.6:80": false, "10.1.1.1:8080": false} {
		if err := g.Check("other.corp", netip.MustParseAddrPort(to)); (err == nil) != want {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := g.Check("auth.corp", netip.MustParseAddrPort("172.16.0.1:443")); err != nil {
		t.Errorf("a host that is allowed: %v", err)
	}
}
