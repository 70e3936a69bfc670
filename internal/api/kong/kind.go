package kong

import (
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

// kind is a kind of entity.
type kind struct {
	name   string // in paths and in Kong's messages
	one    string // as a member of other entities
	key    string // the member that stands for the id in a path; "" if none does
	schema *schema
	// parents are the kinds that an entity may be under, by the member that says so.
	parents []string
}

var (
	services = &kind{name: "services", one: "service", key: "name", schema: &serviceSchema}
	routes   = &kind{name: "routes", one: "route", key: "name", schema: &routeSchema, parents: []string{"service"}}
	plugins  = &kind{name: "plugins", one: "plugin", schema: &pluginSchema, parents: []string{"route", "service", "consumer"}}

	consumers   = &kind{name: "consumers", one: "consumer", key: "username", schema: &consumerSchema}
	credentials = &kind{name: "jwt_secrets", one: "jwt", key: "key", schema: &credentialSchema, parents: []string{"consumer"}}
	upstreams   = &kind{name: "upstreams", one: "upstream", key: "name", schema: &upstreamSchema}
	targets     = &kind{name: "targets", one: "target", key: "target", schema: &targetSchema, parents: []string{"upstream"}}

	groups = &kind{name: "acls", one: "acl", key: "group", schema: &groupSchema, parents: []string{"consumer"}}
)

// kept are the kinds of entities that a catalog has, each after those that it names.
var kept = []*kind{upstreams, targets, services, routes, plugins}

// parentKind is the kind that a foreign member names.
func parentKind(member string) *kind {
	return map[string]*kind{"service": services, "route": routes, "consumer": consumers, "upstream": upstreams}[member]
}

// Kong's bound of a timeout: 2^31 - 2 milliseconds.
const maxMillis = 1<<31 - 2

const (
	notTLS  = "Carnet has no certificates in its store: see tls_verify and ca_certificates of the configuration file"
	notHere = "Carnet has no such rule for routes"
	notHash = "Carnet balances by round-robin or least-connections alone"
)

func common(more ...field) []field {
	return append([]field{
		{name: "id", value: id},
		{name: "created_at", value: integer},
		{name: "updated_at", value: integer},
		{name: "tags", value: set(tag)},
	}, more...)
}

var serviceSchema = schema{
	fields: common(
		field{name: "name", value: str},
		field{name: "enabled", value: boolean, def: true},
		field{name: "retries", value: between(0, 32767), def: int64(5)},
		field{name: "protocol", value: oneOf("http", "https", "internal"), def: "http", required: true},
		field{name: "host", value: str, required: true},
		field{name: "port", value: between(0, 65535), def: int64(80), required: true},
		field{name: "path", value: str},
		field{name: "connect_timeout", value: between(1, maxMillis), def: int64(60000)},
		field{name: "write_timeout", value: between(1, maxMillis), def: int64(60000)},
		field{name: "read_timeout", value: between(1, maxMillis), def: int64(60000)},
		field{name: "client_certificate", value: foreign, only: notTLS},
		field{name: "tls_verify", value: boolean},
		field{name: "tls_verify_depth", value: integer, only: notTLS},
		field{name: "tls_sans", value: anything, only: notTLS},
		field{name: "ca_certificates", value: set(str), only: notTLS},
	),
	check: func(d Document, wrong fields) {
		if path := text(d, "path"); path != "" && !strings.HasPrefix(path, "/") {
			wrong["path"] = "should start with: /"
		}
	},
}

// anything is for members that must stay away: see field.only.
func anything(v any) (any, string) { return v, "" }

var routeSchema = schema{
	fields: common(
		field{name: "name", value: str},
		field{name: "protocols", value: set(oneOf("http", "https")), def: []any{"http", "https"}, required: true},
		field{name: "methods", value: set(str)},
		field{name: "hosts", value: set(str)},
		field{name: "paths", value: set(str)},
		field{name: "headers", value: headerLists},
		field{name: "https_redirect_status_code", value: between(301, 426), def: int64(426)},
		field{name: "regex_priority", value: integer, def: int64(0)},
		field{name: "strip_path", value: boolean, def: true, required: true},
		field{name: "path_handling", value: oneOf("v0"), def: "v0"},
		field{name: "preserve_host", value: boolean, def: false, required: true},
		field{name: "request_buffering", value: boolean, def: true, required: true},
		field{name: "response_buffering", value: boolean, def: true, required: true},
		field{name: "snis", value: set(str), only: notHere},
		field{name: "sources", value: anything, only: notHere},
		field{name: "destinations", value: anything, only: notHere},
		field{name: "service", value: foreign, required: true},
	),
}

// headerLists are the values that headers may have, by name.
func headerLists(v any) (any, string) {
	d, ok := v.(Document)
	if !ok {
		return nil, "expected a map"
	}
	out := Document{}
	for _, name := range names(d) {
		list, wrong := set(str)(d[name])
		if wrong != "" {
			return nil, name + ": " + wrong
		}
		out[name] = list
	}
	return out, ""
}

var upstreamSchema = schema{
	fields: common(
		field{name: "name", value: str, required: true},
		field{name: "algorithm", value: oneOf("round-robin", "least-connections"), def: "round-robin"},
		field{name: "slots", value: between(10, 1<<16), def: int64(10000)},
		field{name: "hash_on", value: str, def: "none", only: notHash},
		field{name: "hash_fallback", value: str, def: "none", only: notHash},
		field{name: "hash_on_header", value: str, only: notHash},
		field{name: "hash_fallback_header", value: str, only: notHash},
		field{name: "hash_on_cookie", value: str, only: notHash},
		field{name: "hash_on_cookie_path", value: str, def: "/"},
		field{name: "hash_on_query_arg", value: str, only: notHash},
		field{name: "hash_fallback_query_arg", value: str, only: notHash},
		field{name: "hash_on_uri_capture", value: str, only: notHash},
		field{name: "hash_fallback_uri_capture", value: str, only: notHash},
		field{name: "host_header", value: str, only: "use preserve_host of the routes"},
		field{name: "use_srv_name", value: boolean, def: false, only: "Carnet reads no SRV records"},
		field{name: "client_certificate", value: foreign, only: notTLS},
		field{name: "healthchecks", value: passive},
	),
}

// passive takes the health checks of an upstream, unless they ask Carnet to call its
// targets by itself.
func passive(v any) (any, string) {
	d, ok := v.(Document)
	if !ok {
		return nil, "expected a record"
	}
	active, _ := d["active"].(Document)
	for _, state := range []string{"healthy", "unhealthy"} {
		if s, _ := active[state].(Document); s["interval"] != nil && s["interval"] != int64(0) && s["interval"] != raw("0") {
			return nil, "active." + state + ".interval: is not supported: Carnet takes a target out when requests to it fail"
		}
	}
	return d, ""
}

var targetSchema = schema{
	fields: common(
		field{name: "target", value: str, required: true},
		field{name: "weight", value: between(0, 65535), def: int64(100)},
		field{name: "upstream", value: foreign, required: true},
	),
}

var pluginSchema = schema{
	fields: common(
		field{name: "name", value: str, required: true},
		field{name: "instance_name", value: str},
		field{name: "enabled", value: boolean, def: true, required: true},
		field{name: "config", value: anything},
		field{name: "protocols", value: set(oneOf("grpc", "grpcs", "http", "https")), def: []any{"grpc", "grpcs", "http", "https"}},
		field{name: "ordering", value: anything, only: "plugins run in Kong's order"},
		field{name: "service", value: foreign},
		field{name: "route", value: foreign},
		field{name: "consumer", value: foreign},
		field{name: "consumer_group", value: foreign, only: "Carnet has no consumer groups: attach it to consumers"},
	),
}

var consumerSchema = schema{
	fields: common(
		field{name: "username", value: str},
		field{name: "custom_id", value: str},
	),
	check: func(d Document, wrong fields) {
		if d["username"] == nil && d["custom_id"] == nil {
			wrong.add("at least one of these fields must be non-empty: 'custom_id', 'username'")
		}
	},
}

var groupSchema = schema{
	fields: common(
		field{name: "group", value: str, required: true},
		field{name: "consumer", value: foreign, required: true},
	),
}

var credentialSchema = schema{
	fields: common(
		field{name: "consumer", value: foreign, required: true},
		field{name: "key", value: str},
		field{name: "secret", value: str},
		field{name: "rsa_public_key", value: str},
		field{name: "algorithm", value: oneOf(
			"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
			"PS256", "PS384", "PS512", "EdDSA",
		), def: "HS256"},
	),
	check: checkPublicKey,
}

// checkPublicKey asks for a public key that fits the algorithm. Kong does not look at
// that of ES*, where a mistake shows only when tokens fail.
func checkPublicKey(d Document, wrong fields) {
	alg := jose.Algorithm(text(d, "algorithm"))
	if alg.Symmetric() {
		return
	}
	switch pem := text(d, "rsa_public_key"); {
	case pem == "":
		wrong["rsa_public_key"] = "required field missing"
	case strings.Contains(pem, "PRIVATE KEY"):
		wrong["rsa_public_key"] = "is a private key: write the public one"
	default:
		if _, err := jose.ParsePEM(alg, "", []byte(pem)); err == nil {
			return
		}
		wrong["rsa_public_key"] = "invalid key"
	}
	wrong.add("failed conditional validation given value of field 'algorithm'")
}
