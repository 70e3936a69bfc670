package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
)

// keyFiles are the two halves of a new key.
func keyFiles(t *testing.T, alg seal.Algorithm) (public, private string) {
	t.Helper()
	k, err := seal.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := k.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	priv, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	return string(pub), string(priv)
}

func TestParseBotKey(t *testing.T) {
	t.Parallel()
	public, private := keyFiles(t, seal.ECDHES)
	rsa, _ := keyFiles(t, seal.RSAOAEP256)
	signer, err := jose.Generate(jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	signed := func(typ, claims string) string {
		token, err := signer.Sign(typ, []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	over := func(key string) string { return `{"sub":"support","exp":4102444800,"cnf":{"jwk":` + key + `}}` }
	good := signed(BotKeyType, over(public))
	eddsa, err := jose.Generate(jose.EdDSA, "")
	if err != nil {
		t.Fatal(err)
	}
	otherwise, err := eddsa.Sign(BotKeyType, []byte(over(public)))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ file, want, wrong string }{
		"a key":                   {public + "\n", public, ""},
		"a token":                 {good + "\n", `"` + good + `"`, ""},
		"a private key":           {private, "", "this one is private"},
		"a token over it":         {signed(BotKeyType, over(private)), "", "cnf.jwk of the token must be a public JWK: this one is private"},
		"RSA":                     {rsa, "", "P-256"},
		"a secret":                {`{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, "", "private"},
		"text":                    {"key", "", "must be a public JWK, as carnet token keygen prints it"},
		"nothing":                 {"", "", "must be a public JWK"},
		"a token of another bot":  {signed(BotKeyType, strings.Replace(over(public), "support", "echo", 1)), "", `"support"`},
		"a token of another type": {signed("JWT", over(public)), "", BotKeyType},
		"signed otherwise":        {otherwise, "", "ES256"},
		"a token without end":     {signed(BotKeyType, `{"sub":"support","cnf":{"jwk":`+public+`}}`), "", "expires"},
		"a token without a key":   {signed(BotKeyType, `{"sub":"support","exp":4102444800}`), "", "cnf.jwk"},
		"a token of no JSON":      {"AAAA.AAAA.AAAA", "", "claims can be read"},
	} {
		got, err := ParseBotKey("support", []byte(tc.file))
		if tc.wrong == "" && (err != nil || string(got) != tc.want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, tc.want)
		}
		if tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) {
			t.Errorf("%s: %s, %v; want an error with %q", name, got, err, tc.wrong)
		}
	}
}

func TestBotKeyFile(t *testing.T) {
	t.Parallel()
	public, _ := keyFiles(t, seal.ECDHES)
	dir := t.TempDir()
	file := filepath.Join(dir, "carnet.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("bot.jwk", public)
	write("carnet.yaml", webhookBot+"      encryption_key: bot.jwk\n")
	c, err := Load(Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Chat.Bots["support"].Published; !json.Valid(got) || string(got) != public {
		t.Errorf("published %s, want %s", got, public)
	}
	if got := c.Documents(); !slices.Contains(got, filepath.Join(dir, "bot.jwk")) {
		t.Errorf("documents %q lack the key: a change would not be seen", got)
	}
	write("bot.jwk", "key")
	if _, err := Load(Options{Path: file}); err == nil || !strings.Contains(err.Error(), "encryption_key") {
		t.Errorf("error = %v, want one that names encryption_key", err)
	}
	for name, text := range map[string]string{
		"no file":       webhookBot + "      encryption_key: none.jwk\n",
		"a builtin bot": "chat: {bots: {echo: {encryption_key: bot.jwk}}}",
	} {
		write("bot.jwk", public)
		write("carnet.yaml", text)
		if _, err := Load(Options{Path: file}); err == nil || !strings.Contains(err.Error(), "encryption_key") {
			t.Errorf("%s: error = %v, want one that names encryption_key", name, err)
		}
	}
}
