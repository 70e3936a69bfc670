package config

// gatewayDocs describes the members of [gateway.Config] in the JSON Schema, by
// the names of their type and key. They stand here since the gateway itself
// knows nothing of files.
var gatewayDocs = map[string]string{
	"Config.cache":     "Memory for tokens whose signature was checked",
	"Config.plugins":   "Checks of every route; services and routes may replace each as a whole",
	"Config.consumers": "Who tokens stand for, and the credentials that prove it",
	"Config.services":  "Upstreams and the routes that lead to them",
	"Config.overrides": "Plugins attached to at least two of a consumer, a service and a route",

	"Override.consumer": "A username",
	"Override.service":  "The name of a service",
	"Override.route":    "The name of a route",
	"Override.plugins":  "They replace those attached to one of the things alone",

	"Consumer.username":    "Sent to upstreams as X-Consumer-Username",
	"Consumer.custom_id":   "Sent to upstreams as X-Consumer-Custom-ID",
	"Consumer.groups":      "What acl goes by",
	"Consumer.jwt_secrets": "Credentials; any of them proves the consumer",
	"Consumer.plugins":     "Checks of its requests alone, over those of routes and services",

	"JWTSecret.key":            "The iss of its tokens; with key_set access, the issuer",
	"JWTSecret.algorithm":      "HS256 by default; not with key_set, whose keys name their own",
	"JWTSecret.secret":         "Of HS* tokens: an SRN, or the secret itself",
	"JWTSecret.rsa_public_key": "PEM, for all other algorithms",
	"JWTSecret.key_set":        "A key set of this configuration: all its published keys",

	"Service.name":            "For logs, metrics and people",
	"Service.url":             "http(s)://host[:port][/path], or internal://NAME for a handler inside the process",
	"Service.connect_timeout": "5s by default",
	"Service.read_timeout":    "Until the header of the answer; 60s by default",
	"Service.plugins":         "Checks of every route of the service",
	"Service.routes":          "Which requests go to the service",

	"Route.name":          "For logs, metrics, people, and carnet token explain --route",
	"Route.hosts":         "Exact names, or *.example.com; none: any",
	"Route.methods":       "In upper case; none: any",
	"Route.paths":         "Prefixes that end where a segment ends; none: any",
	"Route.strip_path":    "Take the matched prefix off; true by default",
	"Route.preserve_host": "Send the client's Host to the upstream",
	"Route.plugins":       "Checks of this route",

	"Plugins.jwt": "Ask for a token of a known credential",
	"Plugins.acl": "Admit consumers by group",

	"JWT.issuer_prefixes":    "P of the issuers P-device-timestamp; each needs a credential with that key",
	"JWT.deny_bare_prefix":   "Refuse tokens whose iss is a prefix alone; true by default",
	"JWT.uri_param_names":    "Query parameters to look for a token in; [jwt] by default",
	"JWT.cookie_names":       "Cookies to look for a token in",
	"JWT.header_names":       "Headers to look for a token in; [authorization] by default",
	"JWT.claims_to_verify":   "Of exp and nbf",
	"JWT.maximum_expiration": "Seconds ahead that exp may lie; 0: any",
	"JWT.realm":              "Of the WWW-Authenticate header",
	"JWT.run_on_preflight":   "Check OPTIONS requests, too; true by default",

	"ACL.allow":              "Groups that may pass; exactly one of allow and deny is set",
	"ACL.deny":               "Groups that may not",
	"ACL.hide_groups_header": "Keep X-Consumer-Groups from the upstream",
}
