package kong

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/gateway"
)

// count is how often something may be.
var count = between(1, 1<<31-1)

// configs are the plugins that Carnet has and what each is told, with Kong's names and
// defaults. Names that Kong does not have are Carnet's own.
var configs = map[string]*schema{
	"jwt": {fields: []field{
		{name: "uri_param_names", value: set(str), def: []any{"jwt"}},
		{name: "cookie_names", value: set(str), def: []any{}},
		{name: "header_names", value: set(str), def: []any{"authorization"}},
		{name: "key_claim_name", value: str, def: "iss"},
		{name: "secret_is_base64", value: boolean, def: false},
		{name: "claims_to_verify", value: set(oneOf("exp", "nbf"))},
		{name: "anonymous", value: str},
		{name: "run_on_preflight", value: boolean, def: true},
		{name: "maximum_expiration", value: between(0, 31536000), def: int64(0)},
		{name: "realm", value: str},
		{name: "issuer_prefixes", value: set(str)},
		{name: "deny_bare_prefix", value: boolean},
		{name: "kid_lookup", value: boolean},
		{name: "anonymous_on", value: oneOf("any", "missing_only")},
		{name: "status_profile", value: oneOf("kong3", "sunbird")},
		{name: "leeway", value: integer},
		{name: "audience", value: set(str)},
		{name: "required_claims", value: headerLists},
		{name: "claim_headers", value: textMap},
		{name: "hide_credentials", value: boolean},
	}},
	"acl": {
		fields: []field{
			{name: "allow", value: set(str)},
			{name: "deny", value: set(str)},
			{name: "hide_groups_header", value: boolean, def: false},
			{name: "always_use_authenticated_groups", value: boolean, def: false},
			{name: "include_consumer_groups", value: boolean, def: false, only: "Carnet has no consumer groups"},
		},
		check: func(d Document, wrong fields) {
			switch {
			case d["allow"] == nil && d["deny"] == nil:
				wrong.add("at least one of these fields must be non-empty: 'allow', 'deny'")
			case d["allow"] != nil && d["deny"] != nil:
				wrong.add("only one of these fields must be non-empty: 'allow', 'deny'")
			}
		},
	},
	"rate-limiting": {fields: []field{
		{name: "second", value: count},
		{name: "minute", value: count},
		{name: "hour", value: count},
		{name: "day", value: count},
		{name: "month", value: count},
		{name: "year", value: count},
		{name: "limit_by", value: str, def: "consumer"},
		{name: "header_name", value: str},
		{name: "path", value: str},
		{name: "policy", value: oneOf("local", "cluster", "redis"), def: "local"},
		{name: "fault_tolerant", value: boolean, def: true},
		{name: "hide_client_headers", value: boolean, def: false},
		{name: "error_code", value: integer, def: int64(429)},
		{name: "error_message", value: str, def: "API rate limit exceeded"},
		{name: "sync_rate", value: number, def: int64(-1)},
		{name: "redis", value: unusedRedis},
		{name: "redis_host", value: unused},
		{name: "redis_port", value: unused},
		{name: "redis_username", value: unused},
		{name: "redis_password", value: unused},
		{name: "redis_ssl", value: unused},
		{name: "redis_ssl_verify", value: unused},
		{name: "redis_server_name", value: unused},
		{name: "redis_timeout", value: unused},
		{name: "redis_database", value: unused},
		{name: "window", value: oneOf("fixed", "sliding")},
		{name: "headers", value: oneOf("kong", "ietf", "both")},
	}},
	"cors": {fields: []field{
		{name: "origins", value: set(str)},
		{name: "methods", value: set(str), def: []any{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"}},
		{name: "headers", value: set(str)},
		{name: "exposed_headers", value: set(str)},
		{name: "max_age", value: integer},
		{name: "credentials", value: boolean, def: false},
		{name: "private_network", value: boolean, def: false},
		{name: "preflight_continue", value: boolean, def: false},
		{name: "allow_origin_absent", value: boolean, def: true},
	}},
	"request-size-limiting": {fields: []field{
		{name: "allowed_payload_size", value: integer, def: int64(128)},
		{name: "size_unit", value: oneOf("megabytes", "kilobytes", "bytes"), def: "megabytes"},
		{name: "require_content_length", value: boolean, def: false},
	}},
}

// textMap is texts by names.
func textMap(v any) (any, string) {
	d, ok := v.(Document)
	if !ok {
		return nil, "expected a map"
	}
	out := Document{}
	for _, name := range names(d) {
		s, wrong := str(d[name])
		if wrong != "" {
			return nil, name + ": " + wrong
		}
		out[name] = s
	}
	return out, ""
}

// unusedRedis takes what Kong writes of Redis, which is that of the nodes' own
// configuration here. It is not kept: it may hold a password.
func unusedRedis(v any) (any, string) {
	if _, ok := v.(Document); !ok {
		return nil, "expected a record"
	}
	return nil, ""
}

// unused takes what Kong has written of Redis before it had a record for that.
func unused(any) (any, string) { return nil, "" }

// oldNames are members of a config that an older Kong calls otherwise.
var oldNames = map[string]string{"whitelist": "allow", "blacklist": "deny"}

// modern gives the members of a plugin's config their names of today.
func modern(d Document) Document {
	config, ok := d["config"].(Document)
	if !ok {
		return d
	}
	d, config = maps.Clone(d), maps.Clone(config)
	for old, name := range oldNames {
		if v, has := config[old]; has && config[name] == nil {
			config[name] = v
			delete(config, old)
		}
	}
	d["config"] = config
	return d
}

// pluginNames are those that Carnet has.
func pluginNames() []string { return slices.Sorted(maps.Keys(configs)) }

// completePlugin checks d, the document of a plugin, with its config.
func completePlugin(d Document) (Document, fields) {
	out, wrong := pluginSchema.complete(d)
	if wrong != nil {
		return nil, wrong
	}
	s := configs[text(out, "name")]
	if s == nil {
		return nil, fields{"name": fmt.Sprintf("plugin '%s' not enabled; Carnet has: %s", text(out, "name"), strings.Join(pluginNames(), ", "))}
	}
	config, ok := out["config"].(Document)
	if !ok && out["config"] != nil {
		return nil, fields{"config": "expected a record"}
	}
	config, wrong = s.complete(config)
	if wrong != nil {
		return nil, fields{"config": wrong}
	}
	out["config"] = config
	return out, nil
}

// bindPlugin makes what the gateway is told of a plugin: a pointer to one of its structs.
func bindPlugin(d Document) (reflect.Value, error) {
	name := text(d, "name")
	slot := member(reflect.New(reflect.TypeFor[gateway.Plugins]()).Elem(), name)
	if !slot.IsValid() || configs[name] == nil {
		return reflect.Value{}, fmt.Errorf("name: plugin %s is not among the gateway's", name)
	}
	made := reflect.New(slot.Type().Elem())
	config, _ := d["config"].(Document)
	if err := bind(configs[name].trim(config), made.Interface()); err != nil {
		return reflect.Value{}, fmt.Errorf("config.%w", err)
	}
	return made, nil
}

// attach adds a plugin to those of its scope. It reports false if the scope has it.
func attach(e *entity, to *gateway.Plugins) bool {
	slot := member(reflect.ValueOf(to).Elem(), text(e.doc, "name"))
	if !slot.IsNil() {
		return false
	}
	slot.Set(e.plugin)
	return true
}

// detach is attach the other way round: the documents of the plugins of a scope,
// without ids and foreign members.
func detach(p *gateway.Plugins) []Document {
	var out []Document
	v := reflect.ValueOf(p).Elem()
	for i := range v.NumField() {
		name, f := tagName(v.Type().Field(i)), v.Field(i)
		if s := configs[name]; s != nil && !f.IsNil() {
			d, wrong := completePlugin(Document{"name": name, "config": unbind(f.Interface())})
			if wrong != nil { // a member that Kong's form has no word for
				d = Document{"name": name, "enabled": true, "config": unbind(f.Interface())}
			}
			out = append(out, d)
		}
	}
	return out
}
