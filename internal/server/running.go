package server

import (
	"reflect"
	"slices"

	"github.com/carnetproject/carnet/internal/config"
)

// running is the configuration that is in force.
type running struct{ *config.Config }

// live are the members that change while the node runs, the gateway but for its memory.
var live = []string{"gateway", "connectors", "egress"}

// takeLive takes over what changes while the node runs.
func (r running) takeLive(next *config.Config) {
	was := r.Gateway
	r.Gateway = next.Gateway
	r.Gateway.Cache, r.Gateway.Counters, r.Gateway.CredentialCache = was.Cache, was.Counters, was.CredentialCache
	r.Connectors, r.Egress = next.Connectors, next.Egress
	r.Chat.Bots, r.Chat.Kore.Bots = next.Chat.Bots, next.Chat.Kore.Bots
}

// changed names the members, by their keys, that differ.
func (r running) changed(next *config.Config) []string {
	return differing(*r.Config, *next)
}

// fixed names the members, by their keys, that differ and cannot change while the
// node runs.
func (r running) fixed(next *config.Config) (keys []string) {
	for _, key := range r.changed(next) {
		switch {
		case slices.Contains(live, key):
		case key == "chat":
			keys = append(keys, fixedChat(r.Chat, next.Chat)...)
		default:
			keys = append(keys, key)
		}
	}
	for _, m := range []struct {
		key   string
		bytes func(*config.Config) int64
	}{{"gateway.cache", cacheBytes}, {"gateway.credential_cache", credentialCacheBytes}, {"gateway.counters", countersBytes}} {
		if m.bytes(r.Config) != m.bytes(next) {
			keys = append(keys, m.key)
		}
	}
	return keys
}

// fixedChat is fixed for conversations: all but the bots, and what pages call them.
func fixedChat(a, b config.Chat) (keys []string) {
	a.Bots, a.Kore.Bots = b.Bots, b.Kore.Bots
	for _, key := range differing(a, b) {
		keys = append(keys, "chat."+key)
	}
	return keys
}

// differing names the members of two values of a struct, by their keys, that differ.
func differing[T any](a, b T) (keys []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if f := x.Type().Field(i); f.IsExported() && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}
