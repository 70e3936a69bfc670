package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
)

// sealing is what sealing and opening have in common.
type sealing struct {
	Key string `required:"" placeholder:"FILE" help:"The key: a JWK (also of a shared secret), or PEM."`
	Alg string `enum:",ECDH-ES,ECDH-ES+A256KW,RSA-OAEP-256,dir" default:"" help:"Key algorithm: ECDH-ES, ECDH-ES+A256KW, RSA-OAEP-256 or dir; without it, the key's own."`
	Enc string `enum:"A256GCM,A128CBC-HS256" default:"A256GCM" help:"Content encryption: A256GCM or A128CBC-HS256."`
}

func (c sealing) suite() seal.Suite {
	return seal.Suite{Alg: seal.Algorithm(c.Alg), Enc: seal.Encryption(c.Enc)}
}

func (c sealing) key() (*seal.Key, error) {
	data, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, "the key cannot be read", err)
	}
	key, err := seal.ParseKey(data)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the key is not usable", err)
	}
	return key, nil
}

type tokenSeal struct {
	sealing
	Nested bool `help:"What is sealed is a signed token: say so in the header."`
}

// Help has examples.
func (tokenSeal) Help() string {
	return `Standard input, at most 64 KiB to its last byte, is encrypted (JWE) for who has the private
key. That proves nothing about you: sign first, and seal the token with --nested.

Examples:
  carnet token seal --key bot.public.jwk < letter.txt
  carnet token sign --key app.jwk --claims - < claims.json | carnet token seal --key bot.public.jwk --nested`
}

// Run prints the JWE.
func (c tokenSeal) Run(s *shell) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	to, err := key.Recipient(c.suite())
	if err != nil {
		return fault.Wrap(fault.Invalid, "the key cannot seal", err)
	}
	var sealed string
	if c.Nested {
		var token string
		if token, err = s.tokenFrom(""); err == nil {
			sealed, err = to.SealToken(token)
		}
	} else {
		var plain []byte
		if plain, err = io.ReadAll(io.LimitReader(s.in, seal.MaxPlain+1)); err == nil {
			sealed, err = to.Seal(plain)
		}
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, "not sealed", err)
	}
	_, err = fmt.Fprintln(s.Out, sealed)
	return err
}

type tokenOpen struct {
	sealing
	Token    string   `arg:"" optional:"" help:"The JWE; without it, standard input."`
	Nested   bool     `help:"What is sealed is a signed token: verify it, and print its claims."`
	Issuer   string   `help:"With --nested: what iss must be."`
	Audience string   `help:"With --nested: what aud must be or contain."`
	JWKS     string   `name:"jwks" placeholder:"FILE|URL" help:"With --nested: keys that count, as of carnet token verify."`
	Type     string   `placeholder:"at+jwt" help:"With --nested: what typ must be."`
	Scopes   []string `help:"With --nested: scopes that must be granted."`
}

// Help has examples.
func (tokenOpen) Help() string {
	return `A JWE opens by the one algorithm and the one encryption that the key and the flags name,
whatever its header says. Exit code 0: it is open; 3: it is not for this key, or is damaged,
or the token in it is not good.

Examples:
  carnet token open --key bot.jwk < sealed.txt
  carnet token open --key bot.jwk --nested --issuer https://id.example --audience app_1 "$TOKEN"`
}

// Run prints what was sealed, to the byte; of a nested token its claims.
func (c tokenOpen) Run(s *shell) error {
	if !c.Nested && c.Issuer+c.Audience+c.JWKS+c.Type != "" {
		return fault.New(fault.Invalid, "--issuer, --audience, --jwks and --type are for --nested")
	}
	if c.Nested && (c.Issuer == "" || c.Audience == "") {
		return fault.New(fault.Invalid, "--nested needs --issuer and --audience")
	}
	key, err := c.key()
	if err != nil {
		return err
	}
	by, err := key.Opener(c.suite())
	if err != nil {
		return fault.Wrap(fault.Invalid, "the key cannot open", err)
	}
	sealed, err := s.tokenFrom(c.Token)
	if err != nil {
		return err
	}
	if c.Nested {
		token, err := by.OpenToken(sealed)
		if err != nil {
			return fault.Wrap(fault.Unauthenticated, "refused", err)
		}
		return tokenVerify{Token: token, Issuer: c.Issuer, Audience: c.Audience, JWKS: c.JWKS, Type: c.Type, Scopes: c.Scopes}.Run(s)
	}
	plain, err := by.Open(sealed)
	if err != nil {
		return fault.Wrap(fault.Unauthenticated, "refused", err)
	}
	_, err = s.Out.Write(plain)
	return err
}

type tokenKeygen struct {
	File string `arg:"" help:"Where the private key goes; it must not be there yet."`
	Alg  string `enum:"ECDH-ES,ECDH-ES+A256KW,RSA-OAEP-256,dir,ES256,EdDSA,RS256" default:"ECDH-ES" help:"What it is for. To seal to: ECDH-ES, ECDH-ES+A256KW, RSA-OAEP-256 or dir; to sign with: ES256, EdDSA or RS256."`
}

// Help has examples.
func (tokenKeygen) Help() string {
	return `The private key is written to the file, as a JWK that nobody else may read. The public one
is printed; its kid is its thumbprint (RFC 7638). A secret (dir) has no public half.

Examples:
  carnet token keygen bot.jwk > bot.public.jwk
  carnet token keygen app.jwk --alg ES256 > app.public.jwk`
}

// Run prints the public JWK.
func (c tokenKeygen) Run(s *shell) error {
	private, public, err := c.generate()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.Wrap(fault.Conflict, "the key cannot be written", err)
	}
	_, err = f.Write(append(private, '\n'))
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil || public == nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "%s\n", public)
	return err
}

// generate makes both halves, as JWKs; public is nil for a secret.
func (c tokenKeygen) generate() (private, public []byte, err error) {
	switch c.Alg {
	case "ES256", "EdDSA", "RS256":
		key, err := jose.Generate(jose.Algorithm(c.Alg), "")
		if err != nil {
			return nil, nil, err
		}
		if private, err = key.MarshalPrivateJWK(); err != nil {
			return nil, nil, err
		}
		public, err = key.MarshalJWK()
		return private, public, err
	}
	key, err := seal.Generate(seal.Algorithm(c.Alg))
	if err != nil {
		return nil, nil, err
	}
	if private, err = key.MarshalPrivate(); err != nil || seal.Algorithm(c.Alg) == seal.Direct {
		return private, nil, err
	}
	public, err = key.MarshalPublic()
	return private, public, err
}
