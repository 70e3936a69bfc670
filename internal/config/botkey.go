package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
)

// BotKeyType is the typ of a token that an app signs over a bot's public key (RFC 8725 §3.11).
const BotKeyType = "bot-key+jwt"

// ParseBotKey reads what the bot of a name publishes for those who seal to it, and returns it as
// the protocol has it: a public P-256 JWK as an object; or, as a string, a token over one, whose
// sub is the bot and which names the key in cnf.jwk (RFC 7800). Nobody checks
// the signature here: pages do, by the key that they pin.
func ParseBotKey(name bot.ID, text []byte) (json.RawMessage, error) {
	text = bytes.TrimSpace(text)
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return publicKey(text)
	}
	var header struct{ Alg, Typ string }
	var claims struct {
		Sub string
		Exp *int64
		Cnf struct{ JWK json.RawMessage }
	}
	for i, into := range []any{&header, &claims} {
		part, ok := jose.Decode(parts[i])
		if !ok || json.Unmarshal(part, into) != nil {
			return nil, fault.New(fault.Invalid, "must be a token whose claims can be read")
		}
	}
	switch {
	case header.Typ != BotKeyType || header.Alg != string(jose.ES256):
		return nil, fault.Newf(fault.Invalid, "must be a token of the type %s that is signed by ES256", BotKeyType)
	case claims.Sub != string(name):
		return nil, fault.Newf(fault.Invalid, "must be a token whose sub is the bot, %q", name)
	case claims.Exp == nil:
		return nil, fault.New(fault.Invalid, "must be a token that expires")
	}
	if _, err := publicKey(claims.Cnf.JWK); err != nil {
		return nil, fault.Newf(fault.Invalid, "cnf.jwk of the token %s", fault.Public(err).Msg)
	}
	return json.Marshal(string(text))
}

// publicKey takes a JWK that anybody may know.
func publicKey(jwk []byte) (json.RawMessage, error) {
	key, err := seal.ParseKey(jwk)
	switch {
	case err != nil:
		return nil, fault.New(fault.Invalid, "must be a public JWK, as carnet token keygen prints it")
	case key.Private():
		return nil, fault.New(fault.Invalid, "must be a public JWK: this one is private, and anybody who connects is shown it")
	}
	public, err := key.MarshalPublic()
	var m struct{ Crv string }
	if err := errors.Join(err, json.Unmarshal(public, &m)); err != nil || m.Crv != "P-256" {
		return nil, fault.New(fault.Invalid, "must be a key on the curve P-256")
	}
	return public, nil
}

// readBotKeys reads the keys that bots publish.
func (c *Config) readBotKeys() (errs []error) {
	for _, name := range c.Chat.Bots.Names() {
		b := c.Chat.Bots[name]
		if b.EncryptionKey == "" {
			continue
		}
		text, err := readDocument(b.EncryptionKey)
		if err == nil {
			b.Published, err = ParseBotKey(name, text)
		}
		if err != nil {
			errs = append(errs, fault.BadField(join("chat.bots."+string(name), "encryption_key"), b.EncryptionKey+": "+fault.Public(err).Msg))
		}
	}
	return errs
}
