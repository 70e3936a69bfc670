package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/secretstore"
)

// envPrefix starts the names of the variables that configure a node.
const envPrefix = "CARNET_"

// otherVariables start with CARNET_ and are not configuration: where the
// configuration is, and what clients of a demonstration use.
var otherVariables = []string{
	"CARNET_CONFIG", "CARNET_APP_TOKEN", "CARNET_WEB_CLIENT_ID", "CARNET_DEVICE_TOKEN", "CARNET_USER", "CARNET_PASSWORD",
	"CARNET_CLIENT_ID", "CARNET_CLIENT_SECRET", "CARNET_PUBLIC_URL", "CARNET_GATEWAY_URL", "CARNET_ADMIN_URL", "CARNET_ADMIN_SECRET",
}

// otherPrefixes start such names, too: secrets, and what Kubernetes gives every
// container beside a Service named carnet.
var otherPrefixes = []string{secretstore.EnvPrefix, "CARNET_SERVICE_", "CARNET_PORT"}

// variable is the name of the variable that sets the member at path.
func variable(path string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// readEnv sets members from variables, over what the file said. A variable that
// master_keys names may start as they do.
func (r *reader) readEnv(environ []string, c *Config) {
	given := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, envPrefix) && !other(name) {
			given[name] = value
		}
	}
	known := map[string]leaf{}
	for _, l := range leavesOf(c) {
		known[variable(l.path)] = l
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if l, ok := known[name]; ok {
			r.override(l, name, given[name])
			delete(given, name)
		}
	}
	masterKeys := []string{c.MasterKeys.Signing, c.MasterKeys.Data}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(masterKeys, "env:"+name) {
			msg := "unknown variable" + suggest(name, append(slices.Sorted(maps.Keys(known)), otherVariables...))
			r.problems = append(r.problems, &Problem{Source: name, Msg: msg})
		}
	}
}

// readFlags sets members from flags: path → text.
func (r *reader) readFlags(flags map[string]string, c *Config) {
	known := map[string]leaf{}
	for _, l := range leavesOf(c) {
		known[l.path] = l
	}
	for _, path := range slices.Sorted(maps.Keys(flags)) {
		source := "--" + strings.NewReplacer(".", "-", "_", "-").Replace(path)
		l, ok := known[path]
		if !ok {
			r.problems = append(r.problems, &Problem{Source: source, Msg: "unknown key" + suggest(path, slices.Sorted(maps.Keys(known)))})
			continue
		}
		r.override(l, source, flags[path])
	}
}

func (r *reader) override(l leaf, source, text string) {
	delete(r.places, l.path) // what is wrong with it is no longer the file's fault
	if err := l.set(text); err != nil {
		r.problems = append(r.problems, &Problem{Source: source, Path: l.path, Msg: err.Error()})
		return
	}
	r.sources[l.path] = source
}

func other(name string) bool {
	return slices.Contains(otherVariables, name) ||
		slices.ContainsFunc(otherPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
