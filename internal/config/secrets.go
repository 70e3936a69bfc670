package config

import (
	"cmp"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/secretstore"
)

// Secrets says where secrets are.
type Secrets struct {
	Providers []string `yaml:"providers" enum:"env,file,vault,builtin" doc:"Where to look for secrets, in this order"`
	Dir       string   `yaml:"dir" doc:"Files are {dir}/{organization}/{name}; by default secrets in data"`
	Vault     Vault    `yaml:"vault"`
}

// Vault is a HashiCorp Vault or an OpenBao.
type Vault struct {
	Address    string `yaml:"address" doc:"https://host:port; http on loopback alone"`
	Namespace  string `yaml:"namespace" doc:"The root by default"`
	Mount      string `yaml:"mount" doc:"Of a KV engine, version 2"`
	Path       string `yaml:"path" doc:"Secrets are {path}/{organization}/{name} in the engine"`
	CA         string `yaml:"ca" doc:"PEM file: who signed its certificate; by default those that the system trusts"`
	Login      string `yaml:"login" enum:"token,approle,kubernetes" doc:"How this node logs in"`
	LoginMount string `yaml:"login_mount" doc:"Where the method of the login is mounted; by default its name"`
	Token      string `yaml:"token" doc:"Login token: SRN of the token, in env or file"`
	Role       string `yaml:"role" doc:"Login approle: the role_id; login kubernetes: the role"`
	SecretID   string `yaml:"secret_id" doc:"Login approle: SRN of the secret_id, in env or file"`
	JWT        string `yaml:"jwt" doc:"Login kubernetes: file with the token of the service account; by default where Kubernetes puts it"`
}

// serviceAccount is where Kubernetes puts the token of a pod.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

func (c *Config) completeSecrets() {
	s := &c.Secrets
	s.Dir = c.path(cmp.Or(s.Dir, "secrets"))
	s.Vault.CA = c.path(s.Vault.CA)
	if s.Vault.JWT == "" && s.Vault.Login == secretstore.LoginKubernetes {
		s.Vault.JWT = serviceAccount
	}
	s.Vault.JWT = c.path(s.Vault.JWT)
}

// Store is v as the store of secrets takes it, nil if there is no Vault.
func (v *Vault) Store() *secretstore.VaultConfig {
	if v.Address == "" {
		return nil
	}
	return &secretstore.VaultConfig{
		Address: v.Address, Namespace: v.Namespace, Mount: v.Mount, Path: v.Path, CA: v.CA, Login: v.Login,
		LoginMount: v.LoginMount, Role: v.Role, Secret: cmp.Or(v.Token, v.SecretID), JWT: v.JWT,
	}
}

func (v *validator) secrets() {
	s := &v.Secrets
	for i, p := range s.Providers {
		if slices.Contains(s.Providers[:i], p) {
			v.bad("secrets.providers", "names %s twice", p)
		}
	}
	switch named := slices.Contains(s.Providers, secretstore.Vault); {
	case named && s.Vault.Address == "":
		v.bad("secrets.vault.address", "is needed: the provider vault is at https://host:port")
	case !named && s.Vault.Address != "":
		v.bad("secrets.providers", "must have vault where that is to be asked")
	case named:
		v.vault("secrets.vault.", &s.Vault)
	}
}

func (v *validator) vault(at string, c *Vault) {
	u, err := url.Parse(c.Address)
	switch {
	case err != nil || !absolute(u) || u.RawQuery != "" || u.Fragment != "":
		v.bad(at+"address", "must be an https URL")
	case u.Scheme == "http" && !OnLoopback(net.JoinHostPort(u.Hostname(), "1")):
		v.bad(at+"address", "must be an https URL: over http its secrets could be read on the way")
	}
	for _, m := range []struct{ name, path string }{
		{"mount", c.Mount}, {"path", c.Path}, {"login_mount", cmp.Or(c.LoginMount, c.Login)},
	} {
		if !vaultPath(m.path) {
			v.bad(at+m.name, "must be letters, digits, or _ - . with / between them")
		}
	}
	if strings.ContainsFunc(c.Namespace, func(r rune) bool { return r <= ' ' || r > '~' }) {
		v.bad(at+"namespace", "must be printable ASCII without blanks")
	}
	v.reference(at+"token", c.Token)
	v.reference(at+"secret_id", c.SecretID)
	for _, m := range []struct {
		name, value string
		of          []string // the logins that need it
	}{
		{"token", c.Token, []string{secretstore.LoginToken}},
		{"role", c.Role, []string{secretstore.LoginAppRole, secretstore.LoginKubernetes}},
		{"secret_id", c.SecretID, []string{secretstore.LoginAppRole}},
		{"jwt", c.JWT, []string{secretstore.LoginKubernetes}},
	} {
		switch needs := slices.Contains(m.of, c.Login); {
		case needs && m.value == "":
			v.bad(at+m.name, "is needed for the login %s", c.Login)
		case !needs && m.value != "":
			v.bad(at+m.name, "is not for the login %s", c.Login)
		}
	}
}

// vaultPath tells whether s leads somewhere in a Vault, and nowhere else.
func vaultPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if strings.Trim(part, ".") == "" || strings.Trim(strings.ToLower(part), "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" {
			return false
		}
	}
	return true
}

// SecretRefs are all the secrets of a vault that c and its connectors name, ordered, each
// once.
func (c *Config) SecretRefs() []string {
	found := map[string]bool{}
	gather(reflect.ValueOf(c).Elem(), found)
	apis, _ := c.APIs() // what is wrong with them, Validate tells
	for _, api := range apis.Connectors {
		for _, ref := range api.Secrets() {
			found[ref] = true
		}
	}
	for _, profile := range apis.Profiles {
		found[profile.Secret] = true // one that is empty names nothing
	}
	var all []string
	for s := range found {
		if r, err := secret.ParseRef(s); err == nil {
			all = append(all, r.String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// gather finds the strings in v that look like names.
func gather(v reflect.Value, found map[string]bool) {
	switch {
	case v.Type() == secretType:
		if n := v.Interface().(interface{ SRN() string }).SRN(); n != "" {
			found[n] = true
		}
	case v.Kind() == reflect.String:
		if secret.IsRef(v.String()) {
			found[v.String()] = true
		}
	case v.Kind() == reflect.Pointer, v.Kind() == reflect.Interface:
		if !v.IsNil() {
			gather(v.Elem(), found)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			gather(v.Index(i), found)
		}
	case v.Kind() == reflect.Map:
		for each := v.MapRange(); each.Next(); {
			gather(each.Value(), found)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				gather(v.Field(i), found)
			}
		}
	}
}
