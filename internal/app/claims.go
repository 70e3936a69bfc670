package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

const (
	maxClaims     = 4096 // bytes of the template
	maxClaimDepth = 8
)

// registered are the claims that tokens have of their own, or that say something to those
// who verify them: no template sets them.
var registered = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "act", "cnf", "sid",
	"auth_time", "acr", "amr", "azp", "nonce", "at_hash", "c_hash", "typ", "events", "active", "username", "token_type",
}

// references are what a text of the template may name.
var references = map[string]func(a *App, scope string) string{
	"${client_id}": func(a *App, _ string) string { return string(a.ID) },
	"${name}":      func(a *App, _ string) string { return a.Name },
	"${scope}":     func(_ *App, scope string) string { return scope },
}

// ExpandClaims are what the tokens that a gets for itself say more: its template with each
// reference, in texts and their parts, in the place of what it stands for. It is nil if
// there is no template.
func (a *App) ExpandClaims(scope string) (map[string]any, error) {
	if a.Claims == "" {
		return nil, nil
	}
	claims, err := parseClaims(a.Claims)
	if err != nil {
		return nil, fmt.Errorf("claims of app %s: %w", a.ID, err)
	}
	var pairs []string
	for name, value := range references {
		pairs = append(pairs, name, value(a, scope))
	}
	filled, _ := walk(claims, 0, func(s string) (string, error) {
		return strings.NewReplacer(pairs...).Replace(s), nil
	})
	return filled.(map[string]any), nil
}

// parseClaims reads a template. The error is for who wrote it.
func parseClaims(template string) (map[string]any, error) {
	if len(template) > maxClaims {
		return nil, fmt.Errorf("must be at most %d bytes", maxClaims)
	}
	var strict jose.Object // refuses a member that is there twice
	if err := strict.Parse([]byte(template)); err != nil {
		return nil, errors.New(`must be a JSON object, as in {"org": "acme", "app": "${client_id}"}`)
	}
	d := json.NewDecoder(strings.NewReader(template))
	d.UseNumber() // as it is written
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, errors.New("must be a JSON object")
	}
	for name := range claims {
		if slices.ContainsFunc(registered, func(r string) bool { return strings.EqualFold(r, name) }) {
			return nil, fmt.Errorf("must not set %q, which tokens have of their own", name)
		}
	}
	_, err := walk(claims, 0, checkReferences)
	return claims, err
}

func checkReferences(s string) (string, error) {
	rest := s
	for name := range references {
		rest = strings.ReplaceAll(rest, name, "")
	}
	if strings.Contains(rest, "${") {
		return "", fmt.Errorf("must refer to ${client_id}, ${name} and ${scope} alone: %q does to something else", s)
	}
	return s, nil
}

// walk is v with each text in it changed.
func walk(v any, depth int, change func(string) (string, error)) (changed any, err error) {
	if depth > maxClaimDepth {
		return nil, fmt.Errorf("must not be deeper than %d", maxClaimDepth)
	}
	switch v := v.(type) {
	case string:
		return change(v)
	case []any:
		for i := range v {
			if v[i], err = walk(v[i], depth+1, change); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = walk(v[name], depth+1, change); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
