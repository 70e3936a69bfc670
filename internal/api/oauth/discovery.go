package oauth

import (
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/signin"
)

// signInMetadata is what RFC 8414 §2, RFC 9207 §3 and OpenID Connect Discovery §3 say of
// the pages, and of what apps learn there.
type signInMetadata struct {
	AuthorizationEndpoint string           `json:"authorization_endpoint"`
	UserInfoEndpoint      string           `json:"userinfo_endpoint"`
	EndSessionEndpoint    string           `json:"end_session_endpoint"`
	ResponseModes         []string         `json:"response_modes_supported"`
	ChallengeMethods      []string         `json:"code_challenge_methods_supported"`
	Scopes                []string         `json:"scopes_supported"`
	Claims                []string         `json:"claims_supported"`
	SubjectTypes          []string         `json:"subject_types_supported"`
	IDTokenAlgs           []jose.Algorithm `json:"id_token_signing_alg_values_supported"`
	Prompts               []string         `json:"prompt_values_supported"`
	Locales               []string         `json:"ui_locales_supported"`
	Issuer                bool             `json:"authorization_response_iss_parameter_supported"`

	// These are not false where they are left out, or were once.
	Request     bool `json:"request_parameter_supported"`
	RequestURI  bool `json:"request_uri_parameter_supported"`
	ClaimsParam bool `json:"claims_parameter_supported"`
}

func (h *Handler) aboutSignIn() signInMetadata {
	return signInMetadata{
		AuthorizationEndpoint: h.c.Issuer + authorizePath,
		UserInfoEndpoint:      h.c.Issuer + userInfoPath,
		EndSessionEndpoint:    h.c.Issuer + logoutPath,
		ResponseModes:         []string{"query"},
		ChallengeMethods:      []string{"S256"},
		Scopes:                []string{signin.OpenID, signin.Profile, signin.Offline},
		Claims:                []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "at_hash", "preferred_username"},
		SubjectTypes:          []string{"public"},
		IDTokenAlgs:           []jose.Algorithm{h.c.Tokens.IdentityAlgorithm()},
		Prompts:               []string{"none", "login", "consent", "select_account"},
		Locales:               tags(),
		Issuer:                true,
	}
}
