package server

import (
	"reflect"
	"slices"

	"github.com/carnetproject/carnet/internal/bot"
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
	bots := config.Bots{}
	for id, b := range r.Chat.Bots {
		if bots[id] = b; next.Chat.Bots[id] != nil {
			bots[id] = withLive(b, next.Chat.Bots[id])
		}
	}
	r.Chat.Bots = bots
}

// withLive is a bot with what of another one changes while the node runs: who may talk
// with it, whether it may push, and the key that it publishes.
func withLive(b, next *config.Bot) *config.Bot {
	c := *b
	c.SecureSession, c.State, c.File, c.Document, c.Token = next.SecureSession, next.State, next.File, next.Document, next.Token
	c.EncryptionKey, c.Published = next.EncryptionKey, next.Published
	return &c
}

// changed names the members, by their keys, that differ.
func (r running) changed(next *config.Config) (keys []string) {
	a, b := reflect.ValueOf(r.Config).Elem(), reflect.ValueOf(next).Elem()
	for i := range a.NumField() {
		if f := a.Type().Field(i); f.IsExported() && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			keys = append(keys, f.Tag.Get("yaml"))
		}
	}
	return keys
}

// fixed names the members, by their keys, that differ and cannot change while the
// node runs.
func (r running) fixed(next *config.Config) (keys []string) {
	a, b := reflect.ValueOf(r.Config).Elem(), reflect.ValueOf(next).Elem()
	for i := range a.NumField() {
		f := a.Type().Field(i)
		switch key := f.Tag.Get("yaml"); {
		case !f.IsExported(), slices.Contains(live, key):
		case key == "chat":
			keys = append(keys, fixedChat(r.Chat, next.Chat)...)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
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

// fixedChat is fixed for conversations. Bots that are new, or gone, are named, too.
func fixedChat(a, b config.Chat) (keys []string) {
	names := append(a.Bots.Names(), b.Bots.Names()...)
	slices.Sort(names)
	for _, id := range slices.Compact[[]bot.ID](names) {
		was, now := a.Bots[id], b.Bots[id]
		if was == nil || now == nil || !reflect.DeepEqual(withLive(was, now), now) {
			keys = append(keys, "chat.bots."+string(id))
		}
	}
	if a.Bots, b.Bots = nil, nil; !reflect.DeepEqual(a, b) {
		keys = append(keys, "chat")
	}
	return keys
}
