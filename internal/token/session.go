package token

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/app"
)

// SessionRequest says whose session token is wanted. App and Subject are
// required; that Subject is who they say is the caller's to know.
type SessionRequest struct {
	App       *app.App
	Subject   string
	Audience  string // empty: the app's, else the configured one
	Anonymous bool
}

// sessionClaims are those of Kore's assertion, in the order in which they are
// written. The issuer is the app: with the subject it names the user everywhere.
type sessionClaims struct {
	Issuer    app.ID `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	IssuedAt  int64  `json:"iat"`
	Expiry    int64  `json:"exp"`
	ID        string `json:"jti"`
	Anonymous bool   `json:"isAnonymous"`
}

// Session issues a session token (the JWT service's). An app with a symmetric
// algorithm has it signed with its newest secret, any other with the set "sts".
func (i *Issuer) Session(ctx context.Context, r SessionRequest) (string, error) {
	if !ValidSubject(r.Subject) {
		return "", badSubject("identity")
	}
	now := i.c.Clock()
	claims := sessionClaims{
		Issuer: r.App.ID, Subject: r.Subject, Audience: i.SessionAudience(r.App),
		IssuedAt: now.Unix(), Expiry: now.Add(i.c.SessionTTL).Unix(), ID: rand.Text(),
		Anonymous: r.Anonymous,
	}
	if r.Audience != "" {
		claims.Audience = r.Audience
	}
	if r.App.SessionAlgorithm.Symmetric() {
		return i.signShared(ctx, r.App, now, claims)
	}
	return i.sign(ctx, SessionSet, r.App.SessionAlgorithm, sessionType, claims)
}

// SessionAudience is the aud of a's session tokens when none is asked for.
func (i *Issuer) SessionAudience(a *app.App) string {
	if a.Audience != "" {
		return a.Audience
	}
	return i.c.SessionAudience
}

func (i *Issuer) signShared(ctx context.Context, a *app.App, now time.Time, claims sessionClaims) (string, error) {
	k, err := i.c.Apps.SigningKey(ctx, a, now)
	if err != nil {
		return "", fmt.Errorf("find secret: %w", err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	signed, err := k.Sign(sessionType, text)
	if err != nil {
		return "", fmt.Errorf("sign with secret of app %s: %w", a.ID, err)
	}
	return signed, nil
}
