package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/token"
)

// KeysMaxAge is how long others may keep what is published. A key set should publish
// a key for longer than this before it signs.
const KeysMaxAge = 5 * time.Minute

// cacheable lets others keep the answer.
func cacheable(h http.Header) {
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(KeysMaxAge.Seconds())))
}

// accessKeys is the set of access tokens alone: a resource server that trusts
// this document trusts no other token.
func (h *Handler) accessKeys(w http.ResponseWriter, r *http.Request) error {
	return h.publish(w, r, token.AccessSet)
}

func (h *Handler) keySet(w http.ResponseWriter, r *http.Request) error {
	return h.publish(w, r, key.SetName(r.PathValue("name")))
}

func (h *Handler) publish(w http.ResponseWriter, r *http.Request, set key.SetName) error {
	body, err := h.c.Keys.JWKS(set, h.c.Clock())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	cacheable(header)
	header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body)) // knows If-None-Match and HEAD
	return nil
}

// metadata is RFC 8414 §2's.
type metadata struct {
	Issuer                string `json:"issuer"`
	TokenEndpoint         string `json:"token_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	JWKSURI               string `json:"jwks_uri"`

	ResponseTypes []string    `json:"response_types_supported"`
	GrantTypes    []app.Grant `json:"grant_types_supported"`

	signInMetadata

	TokenAuth             []string         `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs         []jose.Algorithm `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth        []string         `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs    []jose.Algorithm `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth     []string         `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs []jose.Algorithm `json:"introspection_endpoint_auth_signing_alg_values_supported"`
}

// about is the metadata of this server.
func (h *Handler) about() metadata {
	algs := slices.DeleteFunc(jose.Algorithms(), jose.Algorithm.Symmetric)
	anyone := append(slices.Clone(authMethods), "none")
	return metadata{
		Issuer:                h.c.Issuer,
		TokenEndpoint:         h.c.Issuer + "/oauth2/token",
		RevocationEndpoint:    h.c.Issuer + "/oauth2/revoke",
		IntrospectionEndpoint: h.c.Issuer + "/oauth2/introspect",
		JWKSURI:               h.c.Issuer + "/.well-known/jwks.json",
		ResponseTypes:         []string{"code"},
		GrantTypes:            grants,
		signInMetadata:        h.aboutSignIn(),
		TokenAuth:             anyone, TokenAuthAlgs: algs,
		RevocationAuth: anyone, RevocationAuthAlgs: algs,
		IntrospectionAuth: authMethods, IntrospectionAuthAlgs: algs,
	}
}

func (h *Handler) metadata(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w.Header())
	httpx.WriteJSON(w, http.StatusOK, h.about())
	return nil
}
