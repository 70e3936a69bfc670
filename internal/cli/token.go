package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

type tokenCommand struct {
	Decode  tokenDecode  `cmd:"" help:"Print what a token says, without believing it."`
	Verify  tokenVerify  `cmd:"" help:"Verify a token and print its claims."`
	Sign    tokenSign    `cmd:"" help:"Sign a token with a key of your own."`
	Seal    tokenSeal    `cmd:"" help:"Encrypt standard input to a key."`
	Open    tokenOpen    `cmd:"" help:"Decrypt what was sealed to a key of your own."`
	Keygen  tokenKeygen  `cmd:"" help:"Make a key to seal to, or to sign with."`
	Explain tokenExplain `cmd:"" help:"Tell which check of which route refuses a token, and why."`
}

type tokenDecode struct {
	Token string `arg:"" optional:"" help:"The token; without it, standard input."`
}

// Help has examples.
func (tokenDecode) Help() string {
	return `Anybody can write a token that says anything: what is printed is not verified.
Of an encrypted token only the header can be read.

Example:
  carnet token decode "$TOKEN" | jq .claims.sub`
}

// Run prints {"header", "claims"}. It is lenient, so that tokens which no
// verifier takes can be looked at.
func (c tokenDecode) Run(s *shell) error {
	token, err := s.tokenFrom(c.Token)
	if err != nil {
		return err
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 && len(parts) != 5 {
		return fault.New(fault.Invalid, "a token has three parts between dots, an encrypted one five")
	}
	var out struct {
		Header json.RawMessage `json:"header"`
		Claims json.RawMessage `json:"claims,omitempty"`
	}
	if out.Header, err = part("header", parts[0]); err == nil && len(parts) == 3 {
		out.Claims, err = part("claims", parts[1])
	}
	if err != nil {
		return err
	}
	s.note("NOT VERIFIED: this is what the token says of itself; nobody has checked who signed it.")
	return printJSON(s.Out, out)
}

func part(name, encoded string) (json.RawMessage, error) {
	text, ok := jose.Decode(encoded)
	switch {
	case !ok:
		return nil, fault.Newf(fault.Invalid, "the token's %s is not canonical base64url", name)
	case !json.Valid(text):
		return nil, fault.Newf(fault.Invalid, "the token's %s is not JSON", name)
	}
	return text, nil
}

type tokenSign struct {
	Key    string        `required:"" placeholder:"FILE" help:"Private key: a JWK (also of a shared secret), or PEM with --alg."`
	Claims string        `required:"" placeholder:"JSON" help:"The claims, a JSON object; - reads standard input."`
	Alg    string        `help:"Algorithm of a PEM key, such as RS256."`
	Kid    string        `help:"Key id of a PEM key; without it, the RFC 7638 thumbprint."`
	Typ    string        `default:"JWT" help:"Type in the header, such as at+jwt."`
	TTL    time.Duration `name:"ttl" help:"Adds iat (now) and exp, this much later."`
}

// Help has examples.
func (tokenSign) Help() string {
	return `Examples:
  carnet token sign --key app.pem --alg RS256 --claims '{"iss":"mobile_app"}' --ttl 1h
  carnet token sign --key secret.jwk --claims - < claims.json`
}

// Run prints the token.
func (c tokenSign) Run(s *shell) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	claims, err := c.claims(s, time.Now())
	if err != nil {
		return err
	}
	token, err := key.Sign(c.Typ, claims)
	if err != nil {
		return fault.Wrap(fault.Invalid, "the key cannot sign", err)
	}
	_, err = fmt.Fprintln(s.Out, token)
	return err
}

func (c tokenSign) key() (*jose.Key, error) {
	data, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, "the key cannot be read", err)
	}
	var key *jose.Key
	switch isJWK := bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")); {
	case isJWK && c.Alg+c.Kid != "":
		return nil, fault.New(fault.Invalid, "--alg and --kid are for PEM keys; a JWK names its own")
	case isJWK:
		key, err = jose.ParseJWK(data)
	case c.Alg == "":
		return nil, fault.New(fault.Invalid, "a PEM key needs --alg, such as RS256")
	default:
		key, err = jose.ParsePEM(jose.Algorithm(c.Alg), c.Kid, data)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the key is not usable", err)
	}
	if !key.CanSign() {
		return nil, fault.New(fault.Invalid, "the key is public: signing needs the private one")
	}
	return key, nil
}

// claims are those of the flag, with iat and exp if a lifetime is asked for.
func (c tokenSign) claims(s *shell, now time.Time) ([]byte, error) {
	text := c.Claims
	if text == "-" {
		var err error
		if text, err = s.readAll(); err != nil {
			return nil, err
		}
	}
	var object jose.Object
	if err := object.Parse([]byte(text)); err != nil {
		return nil, fault.Wrap(fault.Invalid, "the claims are not a JSON object", err)
	}
	if c.TTL == 0 {
		return []byte(text), nil
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		return nil, fault.Wrap(fault.Invalid, "the claims are not a JSON object", err)
	}
	for name, at := range map[string]time.Time{"iat": now, "exp": now.Add(c.TTL)} {
		if claims[name] != nil {
			return nil, fault.Newf(fault.Invalid, "--ttl sets %s, which the claims have already", name)
		}
		claims[name] = fmt.Append(nil, at.Unix())
	}
	return json.Marshal(claims)
}
