package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/httpx"
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

// metadata is RFC 8414 §2's, of what there is.
type metadata struct {
	Issuer                            string   `json:"issuer"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	GrantTypesSupported               []Grant  `json:"grant_types_supported"`
	TokenEndpointAuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
}

func (h *Handler) metadata(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w.Header())
	httpx.WriteJSON(w, http.StatusOK, metadata{
		Issuer:                            h.c.Issuer,
		TokenEndpoint:                     h.c.Issuer + "/oauth2/token",
		JWKSURI:                           h.c.Issuer + "/.well-known/jwks.json",
		ResponseTypesSupported:            []string{}, // required, and there is no authorization endpoint
		GrantTypesSupported:               []Grant{ClientCredentials, RefreshToken},
		TokenEndpointAuthMethodsSupported: []string{"client_secret_basic", "client_secret_post", "none"},
	})
	return nil
}
