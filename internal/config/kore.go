package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/secret"
)

// Kore is the surface for pages of Kore.ai's web SDK. It is off unless switched on: it
// takes assertions whose aud may be anything, and makes a token of hours of one of
// minutes, as that SDK needs it.
type Kore struct {
	Enabled      bool              `yaml:"enabled" doc:"Serve pages of Kore.ai's web SDK"`
	Prefix       string            `yaml:"prefix" doc:"Of its paths on the public listener: the SDK's koreAPIUrl is the issuer and this"`
	TokenTTL     Duration          `yaml:"token_ttl" doc:"Of the token that a page shows each time it connects; a page starts anew when it ends"`
	Bots         map[string]bot.ID `yaml:"bots" doc:"What pages call a bot (its _id, or its name) to the bot; others call it by its own name"`
	AssertionKey string            `yaml:"assertion_key" doc:"An SRN of a private key (PEM) that opens assertions which are encrypted as JWE; none by default"`
}

// minKoreTTL is the shortest life of a page's token: one that is refused when it is fresh
// makes the SDK ask for the next without a pause.
const minKoreTTL = 10 * time.Second

func (v *validator) kore() {
	k := v.Chat.Kore
	if !strings.HasPrefix(k.Prefix, "/") || !strings.HasSuffix(k.Prefix, "/") || len(k.Prefix) < 3 ||
		strings.Contains(k.Prefix, "//") || strings.ContainsAny(k.Prefix, "?#%{} ") {
		v.bad("chat.kore.prefix", "must be a path with a slash at both ends, such as /api/")
	}
	v.limited("chat.kore.token_ttl", k.TokenTTL)
	if k.TokenTTL.Std() < minKoreTTL {
		v.bad("chat.kore.token_ttl", "must be at least %s", Duration(minKoreTTL))
	}
	for _, name := range slices.Sorted(maps.Keys(k.Bots)) {
		if v.Chat.Bots[k.Bots[name]] == nil {
			v.bad(fmt.Sprintf("chat.kore.bots.%s", name), "there is no bot %q", k.Bots[name])
		}
	}
	if ref := k.AssertionKey; ref != "" && !secret.IsRef(ref) {
		v.bad("chat.kore.assertion_key", "must be an SRN, such as srn:vault::default:secret:kore-assertions")
	} else if ref != "" {
		v.srn("chat.kore.assertion_key", ref)
	}
}
