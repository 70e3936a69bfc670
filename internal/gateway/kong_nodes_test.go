package gateway

import (
	"cmp"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// apart are the cases that nodes which have all of them at once cannot have.
var apart = map[string]string{
	"jwt-049":            "an anonymous consumer that there is not is refused where it is written",
	"sunbird_plugin-030": "a symmetric credential of a prefix is refused where it is written",
	"jwt_edge-034":       "its credential has the key of another case's",
	"sunbird_plugin-037": "a node's listener refuses so long a header by itself, with 431",
	"sunbird_plugin-045": "it says no request",
	"sunbird_plugin-053": "it says no request",
}

// TestKongOnNodes runs the cases on nodes of a cluster that the caller has started: all
// come by one import, through the command line of one node, and each is asked of every
// node. KONG_NODES are the addresses of their gateways, KONG_IMPORT is the command that
// takes the name of a file.
func TestKongOnNodes(t *testing.T) {
	nodes := strings.Fields(os.Getenv("KONG_NODES"))
	if len(nodes) == 0 {
		t.Skip("there are no nodes: cmd/carnet starts some")
	}
	file := kongCases(t)
	file.at = time.Now()
	d := &kongDocument{Version: "3.0"}
	echo := newEcho(t)
	var cases []*kongCase
	for _, c := range slices.Concat(file.JWT, file.Edge, file.Sunbird) {
		if notAtAll[c.ID] != "" || apart[c.ID] != "" {
			continue
		}
		if e, ok := instead[c.ID]; ok {
			c.Expect = e
		}
		cases = append(cases, &c)
		if old := cmp.Or(c.Old, c.Older); old != nil {
			o := c.old(old)
			o.ID += "-old"
			cases = append(cases, o)
		}
	}
	for _, c := range cases {
		d.add(t, file, c, echo.URL)
	}
	d.write(t, os.Getenv("KONG_IMPORT"))

	for _, node := range nodes {
		server := &httptest.Server{URL: "http://" + node}
		began := time.Now()
		for call(t, server, "GET", "/", "Host: "+cases[len(cases)-1].host()).status == 404 {
			if time.Since(began) > time.Minute {
				t.Fatalf("%s does not have what was imported elsewhere", node)
			}
		}
		for _, c := range cases {
			t.Run(node+"/"+c.ID, func(t *testing.T) { file.ask(t, c, server, "Host: "+c.host()) })
		}
	}
}

// host is the case's own on nodes that have all of them.
func (c *kongCase) host() string {
	return strings.ToLower(strings.ReplaceAll(c.ID, "_", "-")) + ".test"
}

// kongDocument is a kong.yml.
type kongDocument struct {
	Version   string            `json:"_format_version"`
	Services  []kongService     `json:"services"`
	Consumers []*kongSubscriber `json:"consumers"`
}

type kongService struct {
	Name   string      `json:"name"`
	URL    string      `json:"url"`
	Routes []kongRoute `json:"routes"`
}

type kongRoute struct {
	Name    string       `json:"name"`
	Hosts   []string     `json:"hosts"`
	Plugins []kongPlugin `json:"plugins"`
}

type kongPlugin struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`
}

// kongSubscriber is a consumer as kong.yml has one.
type kongSubscriber struct {
	Username string   `json:"username"`
	CustomID string   `json:"custom_id,omitempty"`
	Groups   []object `json:"acls,omitempty"`
	Secrets  []object `json:"jwt_secrets,omitempty"`
}

// add adds a route of the case's own, and those whom it knows.
func (d *kongDocument) add(t *testing.T, file *kongFile, c *kongCase, upstream string) {
	t.Helper()
	route := kongRoute{Name: c.ID, Hosts: []string{c.host()}}
	plugins := c.plugins()
	anonymous := file.Fixtures.Consumers["anonymous"].Username
	d.consumer(anonymous)
	for name, config := range plugins {
		config = json.RawMessage(strings.Replace(string(config), `"consumer:anonymous.id"`, `"`+anonymous+`"`, 1))
		route.Plugins = append(route.Plugins, kongPlugin{name, config})
	}
	d.Services = append(d.Services, kongService{c.ID, upstream, []kongRoute{route}})
	for _, u := range c.credentials(t, file, decodeJWT(t, plugins["jwt"]).IssuerPrefixes) {
		f := file.Fixtures.Consumers[u.Consumer]
		s := d.consumer(f.Username)
		s.CustomID, s.Groups = f.CustomID, nil
		for _, g := range f.Groups {
			s.Groups = append(s.Groups, object{"group": g})
		}
		if slices.ContainsFunc(s.Secrets, func(have object) bool { return have["key"] == u.Key }) {
			continue
		}
		secret := object{"key": u.Key, "algorithm": u.Algorithm}
		if u.Secret != "" {
			secret["secret"] = u.Secret
		}
		if u.PublicKey != "" {
			secret["rsa_public_key"] = u.PublicKey
		}
		s.Secrets = append(s.Secrets, secret)
	}
}

func (d *kongDocument) consumer(name string) *kongSubscriber {
	for _, c := range d.Consumers {
		if c.Username == name {
			return c
		}
	}
	c := &kongSubscriber{Username: name}
	d.Consumers = append(d.Consumers, c)
	return c
}

// write imports the document.
func (d *kongDocument) write(t *testing.T, command string) {
	t.Helper()
	at := filepath.Join(t.TempDir(), "kong.yml")
	if err := os.WriteFile(at, must(json.Marshal(d)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(strings.Fields(command), at)
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
