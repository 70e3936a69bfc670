package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
)

type tokenVerify struct {
	Token    string   `arg:"" optional:"" help:"The token; without it, standard input."`
	Issuer   string   `required:"" help:"What iss must be."`
	Audience string   `required:"" help:"What aud must be or contain."`
	JWKS     string   `name:"jwks" placeholder:"FILE|URL" help:"Keys that count; without it, /.well-known/jwks.json at the issuer."`
	Type     string   `placeholder:"at+jwt" help:"What typ must be; at+jwt asks for all that RFC 9068 does."`
	Scopes   []string `help:"Scopes that must be granted."`
}

// Help has examples.
func (tokenVerify) Help() string {
	return `Exit code 0: the token is good; 3: it is not, and standard error says why.

Examples:
  carnet token verify --issuer http://127.0.0.1:8080 --audience http://127.0.0.1:8080 --type at+jwt "$TOKEN"
  carnet token verify --jwks keys.json --issuer app_1 --audience https://chat.example < token.txt`
}

// Run prints the claims of a good token.
func (c tokenVerify) Run(s *shell) error {
	token, err := s.tokenFrom(c.Token)
	if err != nil {
		return err
	}
	keys, err := c.keys()
	if err != nil {
		return err
	}
	policy := carnet.Policy{Issuer: c.Issuer, Audience: c.Audience, Type: c.Type}
	if c.Type == "at+jwt" {
		policy = carnet.AccessTokens(c.Issuer, c.Audience)
	}
	policy.Scopes = c.Scopes
	verifier, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: policy})
	if err != nil {
		return fault.Wrap(fault.Invalid, "cannot verify", err)
	}
	verified, err := verifier.Verify(s.ctx, token)
	if err != nil {
		return classify(err)
	}
	return printJSON(s.Out, json.RawMessage(verified.Claims()))
}

func (c tokenVerify) keys() (carnet.KeySource, error) {
	source := c.JWKS
	if source == "" {
		source = strings.TrimSuffix(c.Issuer, "/") + "/.well-known/jwks.json"
	}
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		keys, err := carnet.RemoteKeys(carnet.RemoteConfig{Issuer: c.Issuer, URL: source, Client: &http.Client{Transport: &http.Transport{}}})
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "the keys cannot be fetched", err)
		}
		return keys, nil
	}
	if c.JWKS == "" {
		return nil, fault.New(fault.Invalid, "the issuer is no URL: say with --jwks where its keys are")
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, "the keys cannot be read", err)
	}
	keys, err := carnet.ParseJWKS(data)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the keys are not a JWKS document", err)
	}
	return keys, nil
}

// classify tells a bad token from keys that could not be had.
func classify(err error) error {
	for _, refusal := range []error{
		carnet.ErrMalformed, carnet.ErrUnknownKey, carnet.ErrAlgorithm, carnet.ErrSignature, carnet.ErrExpired,
		carnet.ErrNotYetValid, carnet.ErrIssuer, carnet.ErrAudience, carnet.ErrType, carnet.ErrLifetime,
		carnet.ErrClaim, carnet.ErrScope, carnet.ErrRevoked,
	} {
		if errors.Is(err, refusal) {
			return fault.Wrap(fault.Unauthenticated, "refused", err)
		}
	}
	return fault.Wrap(fault.Unavailable, "cannot tell", err)
}
