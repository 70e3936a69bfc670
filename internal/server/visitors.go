package server

import (
	"context"
	"errors"
	"slices"

	"github.com/carnetproject/carnet"
	chatapi "github.com/carnetproject/carnet/internal/api/chat"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

// chatScope is what an access token must be good for to open a conversation.
const chatScope = "chat"

// chatCache is for access tokens that are shown again, as with each POST of a chat without
// a WebSocket, in bytes.
const chatCache = 4 << 20

// visitors tells who a token of the chat speaks for: a session token of an app, or an
// access token of this issuer with the scope "chat". The two never pass for each
// other: their issuers, key sets and types differ.
type visitors struct {
	access, session *carnet.Verifier
	issuer          string
	audience        string // of session tokens whose app has none of its own
	apps            *app.Directory
}

func newVisitors(c *Core) (*visitors, error) {
	v := &visitors{issuer: c.Config.Issuer, audience: c.Config.Issuer, apps: c.Apps}
	access := carnet.AccessTokens(c.Config.Issuer, c.Config.Audience)
	access.Scopes = []string{chatScope}
	var err error
	if v.access, err = c.verifier(c.keysOf(token.AccessSet), access, carnet.NewCache(chatCache)); err != nil {
		return nil, err
	}
	// No cache: the end of an app's secret would not be seen in it.
	v.session, err = c.verifier(&sessionKeys{apps: c.Apps, set: c.keysOf(token.SessionSet)}, carnet.Policy{
		AnyIssuer: true, AnyAudience: true, // each is checked below, by the app
		Type: "JWT", Required: []string{"sub", "iat", "jti"},
	}, nil)
	return v, err
}

// identify is for chat's Config.Verify.
func (v *visitors) identify(ctx context.Context, text string) (chatapi.Identity, error) {
	t, err := v.access.Verify(ctx, text)
	if errors.Is(err, carnet.ErrUnknownKey) || errors.Is(err, carnet.ErrIssuer) {
		return v.identifySession(ctx, text)
	}
	if errors.Is(err, carnet.ErrScope) {
		return chatapi.Identity{}, fault.Wrap(fault.Denied, "the token lacks the scope "+chatScope, err)
	}
	if err != nil {
		return chatapi.Identity{}, refusedToken(err)
	}
	id := identity(t)
	var client string
	if t.Claim("client_id", &client) == nil {
		if a := appOf(client, v.apps); a != nil {
			id.App, id.Origins = string(a.ID), a.Origins
		}
	}
	return id, nil
}

func (v *visitors) identifySession(ctx context.Context, text string) (chatapi.Identity, error) {
	t, err := v.session.Verify(ctx, text)
	if fault.KindOf(err) == fault.Unavailable { // the app's secret cannot be read
		return chatapi.Identity{}, err
	}
	if err != nil {
		return chatapi.Identity{}, refusedToken(err)
	}
	a := appOf(t.Issuer(), v.apps)
	if a == nil {
		return chatapi.Identity{}, refusedToken(carnet.ErrIssuer)
	}
	audience := a.Audience
	if audience == "" {
		audience = v.audience
	}
	if !slices.Contains(t.Audience(), audience) {
		return chatapi.Identity{}, refusedToken(carnet.ErrAudience)
	}
	id := identity(t)
	id.App, id.Origins = string(a.ID), a.Origins
	var anonymous any
	if t.Claim("isAnonymous", &anonymous) == nil {
		id.Anonymous = anonymous == true || anonymous == "true"
	}
	return id, nil
}

func identity(t *carnet.Verified) chatapi.Identity {
	expires, _ := t.Expiry() // both policies require it
	return chatapi.Identity{
		User: chat.User{Issuer: t.Issuer(), Subject: t.Subject()}, Expires: expires, Token: revocation.Of(t),
	}
}

func refusedToken(cause error) error {
	return fault.Wrap(fault.Unauthenticated, "the token is not valid here", cause)
}

// sessionKeys finds the keys of session tokens, whose issuer is the app: the app's
// own secrets if it signs with them, else the key set that signs for all apps.
type sessionKeys struct {
	apps *app.Directory
	set  *ringKeys
}

// Generation is the ring's; what follows from apps is looked up each time.
func (k *sessionKeys) Generation() uint64 { return k.set.Generation() }

// Find implements [carnet.KeySource].
func (k *sessionKeys) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	a := appOf(h.Issuer, k.apps)
	if a == nil {
		return nil, carnet.ErrUnknownKey
	}
	if !a.SessionAlgorithm.Symmetric() {
		return k.set.Find(ctx, h)
	}
	secrets, err := k.apps.VerificationKeys(ctx, a, h.KeyID, k.set.clock())
	if err != nil {
		return nil, err
	}
	var keys []*carnet.Key
	for _, s := range secrets {
		if h.KeyID != "" && s.ID() != h.KeyID {
			continue
		}
		jwk, err := s.MarshalPrivateJWK() // a secret that verifies is all that signs
		if err != nil {
			return nil, err
		}
		key, err := carnet.ParseJWK(jwk)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, carnet.ErrUnknownKey
	}
	return keys, nil
}
