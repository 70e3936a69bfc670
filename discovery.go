package carnet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

// document is the JWKS document, from where the configuration or the issuer says.
func (r *Remote) document(ctx context.Context) ([]byte, error) {
	if r.c.URL != "" {
		return r.download(ctx, r.c.URL)
	}
	metadata, err := r.download(ctx, strings.TrimSuffix(r.c.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	from, err := keysOf(r.c.Issuer, metadata)
	if err != nil {
		return nil, err
	}
	return r.download(ctx, from)
}

// keysOf is the jwks_uri of an issuer's metadata, which must be that issuer's own.
func keysOf(issuer string, metadata []byte) (string, error) {
	var o jose.Object
	if err := o.Parse(metadata); err != nil {
		return "", errors.New("metadata: not one JSON object")
	}
	if said, _ := o.Lookup("issuer").Text(); said != issuer {
		return "", errors.New("metadata: of another issuer")
	}
	text, _ := o.Lookup("jwks_uri").Text()
	u, err := remoteURL(text)
	if err != nil {
		return "", fmt.Errorf("metadata: jwks_uri: %w", err)
	}
	if u.Scheme != "https" && strings.HasPrefix(issuer, "https:") {
		return "", errors.New("metadata: jwks_uri leads from https to http")
	}
	return text, nil
}
