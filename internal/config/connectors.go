package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/fault"
)

// Egress says where connectors may call besides public addresses.
type Egress struct {
	Allow         []string `yaml:"allow" doc:"Networks, addresses and host names that are not public, and may be called all the same"`
	Ports         []int    `yaml:"ports" doc:"Ports that may be called; 80 and 443 by default"`
	AllowInsecure bool     `yaml:"allow_insecure" doc:"Let connectors call http endpoints"`
	Files         []string `yaml:"files" doc:"Hosts that have the files whose URLs users name, for connectors that send them; none by default"`
}

// ConnectorOptions say how the organization's documents of connectors are read.
func (c *Config) ConnectorOptions() connector.Options {
	files := make([]string, len(c.Egress.Files))
	for i, host := range c.Egress.Files {
		files[i] = strings.ToLower(host)
	}
	return connector.Options{Organization: c.Organization, Insecure: c.Egress.AllowInsecure, Ports: c.Egress.Guard().Ports, Files: files}
}

// Guard is what stands before each connection. What is not valid allows nothing.
func (e Egress) Guard() egress.Guard {
	g := egress.Guard{Ports: []uint16{80, 443}}
	if len(e.Ports) > 0 {
		g.Ports = nil
		for _, p := range e.Ports {
			g.Ports = append(g.Ports, uint16(p)) //nolint:gosec // validated
		}
	}
	for _, s := range e.Allow {
		if p, ok := network(s); ok {
			g.Networks = append(g.Networks, p)
			continue
		}
		g.Hosts = append(g.Hosts, strings.ToLower(s))
	}
	return g
}

// network reads a network, or an address as the network of it alone.
func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil
}

// isHost tells whether s is the name of a host.
func isHost(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

func (v *validator) egress() {
	for i, s := range v.Egress.Allow {
		if _, ok := network(s); !ok && !isHost(s) {
			v.bad(fmt.Sprintf("egress.allow[%d]", i), "must be a network, an address, or the name of a host without its port")
		}
	}
	for i, s := range v.Egress.Files {
		if _, err := netip.ParseAddr(s); err != nil && !isHost(s) {
			v.bad(fmt.Sprintf("egress.files[%d]", i), "must be the name of a host, or an address, without scheme, port and path")
		}
	}
	for i, p := range v.Egress.Ports {
		if p < 1 || p > 65535 {
			v.bad(fmt.Sprintf("egress.ports[%d]", i), "must be 1 to 65535")
		}
	}
	if _, err := v.APIs(); err != nil {
		v.errs = append(v.errs, flatten(err)...)
	}
}

// APIs are what the files of connectors hold.
type APIs struct {
	Connectors map[string]*connector.Connector // by their aliases, in lower case
	Profiles   map[string]*authprofile.Profile // likewise
	Groups     []*connector.Group
	Warnings   []string // what works, and may not be what was meant
}

// Names are the aliases in lower case, in their order.
func (a *APIs) Names() []string { return slices.Sorted(maps.Keys(a.Connectors)) }

// APIs reads the files that connectors names. The error joins a [fault.Error] for each
// mistake in them.
func (c *Config) APIs() (APIs, error) {
	r := &apiReader{
		apis: APIs{Connectors: map[string]*connector.Connector{}, Profiles: map[string]*authprofile.Profile{}}, from: map[string]string{},
		opts: c.ConnectorOptions(),
	}
	r.opts.Strict = true
	for i, path := range c.Connectors {
		r.at = fmt.Sprintf("connectors[%d]", i)
		r.path(path)
	}
	r.references()
	return r.apis, errors.Join(r.errs...)
}

// apiReader reads files of documents.
type apiReader struct {
	opts connector.Options
	apis APIs
	from map[string]string // alias, or id of a group → the file
	at   string            // the member that names the file
	errs []error
}

func (r *apiReader) bad(where, format string, args ...any) {
	r.errs = append(r.errs, fault.BadField(r.at, where+": "+fmt.Sprintf(format, args...)))
}

// path reads a file, or all files of a directory that may be ones of connectors.
func (r *apiReader) path(path string) {
	info, err := os.Stat(path)
	if err != nil {
		r.bad(path, "there is no such file or directory")
		return
	}
	if !info.IsDir() {
		r.file(path)
		return
	}
	files, err := documentsIn(path)
	if err != nil {
		r.bad(path, "cannot be read")
	}
	for _, file := range files {
		r.file(file)
	}
}

// documentsIn are the files of a directory that may be documents.
func documentsIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

// Documents are the files that the configuration consists of besides its own, whether or
// not they are there: those of connectors and of bots.
func (c *Config) Documents() []string {
	files := c.ConnectorFiles()
	for _, name := range c.Chat.Bots.Names() {
		for _, file := range []string{c.Chat.Bots[name].File, c.Chat.Bots[name].EncryptionKey} {
			if file != "" {
				files = append(files, file)
			}
		}
	}
	return files
}

// ConnectorFiles are those of connectors, whether or not they are there.
func (c *Config) ConnectorFiles() (files []string) {
	for _, path := range c.Connectors {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			files = append(files, path)
			continue
		}
		in, _ := documentsIn(path) // one that cannot be read has none
		files = append(files, in...)
	}
	return files
}

// file reads a file of one document, or a list of them.
func (r *apiReader) file(path string) {
	doc, err := readDocument(path)
	if err != nil {
		r.bad(path, "%s", fault.Public(err).Msg)
		return
	}
	if !strings.HasPrefix(strings.TrimSpace(string(doc)), "[") {
		r.document(path, "", doc)
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal(doc, &list); err != nil {
		r.bad(path, "is not JSON")
	}
	for i, doc := range list {
		r.document(path, fmt.Sprintf("/%d", i), doc)
	}
}

// readDocument reads a file as JSON.
func readDocument(path string) (doc []byte, err error) {
	unreadable := fault.New(fault.Invalid, "cannot be read")
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, unreadable
	case len(data) > maxFile:
		return nil, fault.Newf(fault.Invalid, "must be at most %d bytes", maxFile)
	case filepath.Ext(path) != ".yaml" && filepath.Ext(path) != ".yml":
		return data, nil
	}
	defer func() {
		if p := recover(); p != nil { // the parser's, which is not ours
			doc, err = nil, fault.New(fault.Invalid, "is not YAML")
		}
	}()
	if doc, err = yaml.YAMLToJSON(data); err != nil {
		return nil, fault.New(fault.Invalid, "is not YAML")
	}
	return doc, nil
}

// document takes a connector, a restriction group, which is what has steps, or an auth
// profile, whose type is oauth2.
func (r *apiReader) document(path, prefix string, doc []byte) {
	var has struct {
		Steps json.RawMessage `json:"steps"`
		Type  any             `json:"type"`
	}
	var (
		name     string
		warnings []connector.Warning
		err      error
	)
	switch read := json.Unmarshal(doc, &has) == nil; {
	case read && has.Steps != nil:
		var g *connector.Group
		if g, warnings, err = connector.ParseGroup(doc, r.opts); err == nil {
			name = "the restriction group " + g.ID
			r.apis.Groups = append(r.apis.Groups, g)
		}
	case read && has.Type == "oauth2":
		var p *authprofile.Profile
		if p, err = authprofile.Parse(doc, authprofile.Options{Organization: r.opts.Organization, Insecure: r.opts.Insecure}); err == nil {
			name = "the auth profile " + strings.ToLower(p.Alias)
			r.apis.Profiles[strings.ToLower(p.Alias)] = p
		}
	default:
		var c *connector.Connector
		if c, warnings, err = connector.Parse(doc, r.opts); err == nil {
			name = "the connector " + strings.ToLower(c.Alias)
			r.apis.Connectors[strings.ToLower(c.Alias)] = c
		}
	}
	for _, e := range flatten(err) {
		p := fault.Public(e)
		where := path
		if at := prefix + p.Field; at != "" {
			where += ": " + at
		}
		r.bad(where, "%s", p.Msg)
	}
	for _, w := range warnings {
		r.apis.Warnings = append(r.apis.Warnings, path+": "+prefix+w.String())
	}
	if first, twice := r.from[name]; err == nil && twice {
		r.bad(path, "%s is in %s, too", name, first)
	}
	r.from[name] = path
}

// references holds connectors to the groups that they name, and auth profiles to the
// connectors.
func (r *apiReader) references() {
	for _, alias := range slices.Sorted(maps.Keys(r.apis.Connectors)) {
		c := r.apis.Connectors[alias]
		if c.Group != "" && !slices.ContainsFunc(r.apis.Groups, func(g *connector.Group) bool { return g.ID == c.Group }) {
			r.at = "connectors"
			r.bad(r.from["the connector "+alias], "/RestrictionGroup: there is no restriction group %q", c.Group)
		}
	}
	for _, alias := range slices.Sorted(maps.Keys(r.apis.Profiles)) {
		p := r.apis.Profiles[alias]
		if p.Connector != "" && r.apis.Connectors[p.Connector] == nil {
			r.at = "connectors"
			r.bad(r.from["the auth profile "+alias], "/Configuration/ApiAlias: there is no connector %q", p.Connector)
		}
	}
}
