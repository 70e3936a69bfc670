package config

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
)

func TestKore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*Kore)
		want string // part of the error; "": none
	}{
		"default":       {func(*Kore) {}, ""},
		"other prefix":  {func(k *Kore) { k.Prefix = "/kore/v2/" }, ""},
		"bots":          {func(k *Kore) { k.Bots = map[string]bot.ID{"st-1": "echo", "My Bot": "menu"} }, ""},
		"key":           {func(k *Kore) { k.AssertionKey = "srn:vault::default:secret:kore" }, ""},
		"root":          {func(k *Kore) { k.Prefix = "/" }, "chat.kore.prefix"},
		"no end":        {func(k *Kore) { k.Prefix = "/api" }, "chat.kore.prefix"},
		"no beginning":  {func(k *Kore) { k.Prefix = "api/" }, "chat.kore.prefix"},
		"two slashes":   {func(k *Kore) { k.Prefix = "/api//" }, "chat.kore.prefix"},
		"pattern":       {func(k *Kore) { k.Prefix = "/{api}/" }, "chat.kore.prefix"},
		"no time":       {func(k *Kore) { k.TokenTTL = 0 }, "chat.kore.token_ttl"},
		"no end of it":  {func(k *Kore) { k.TokenTTL = Forever }, "chat.kore.token_ttl"},
		"too short":     {func(k *Kore) { k.TokenTTL = Duration(9 * time.Second) }, "at least 10s"},
		"unknown bot":   {func(k *Kore) { k.Bots = map[string]bot.ID{"st-1": "nobody"} }, `chat.kore.bots.st-1: there is no bot "nobody"`},
		"key in itself": {func(k *Kore) { k.AssertionKey = "-----BEGIN" }, "chat.kore.assertion_key"},
		"bad key":       {func(k *Kore) { k.AssertionKey = "srn:vault:eu:default:secret:kore" }, "chat.kore.assertion_key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			c.Data = t.TempDir()
			c.complete()
			c.Chat.Kore.Bots = maps.Clone(c.Chat.Kore.Bots)
			tc.edit(&c.Chat.Kore)
			err := c.Validate(nil)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Validate() = %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Validate() = %v, want an error about %s", err, tc.want)
			}
		})
	}
}
