package authprofile

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/securesession"
)

// SignIn is one that has begun: a browser was sent to the provider.
type SignIn struct {
	State   [32]byte // hash of what the provider gives back
	Browser [32]byte // hash of the browser's cookie
	Key     securesession.Key
	Profile string // alias in lower case
	Sealed  []byte // what only the node may know until the browser is back
	Expires time.Time
}

// Grant is what a user has signed in for: one conversation.
type Grant struct {
	Profile string   // alias in lower case
	Hint    [32]byte // hash of what the page shows the conversation
	Sealed  []byte   // the tokens
	Version int64    // the store's: changes with every write
	Expires time.Time
}

// store keeps sign-ins and grants for all nodes. It forgets what has expired, and the
// grant of a conversation with its secure session.
type store interface {
	AddSignIn(ctx context.Context, s SignIn) error
	// TakeSignIn removes and returns a sign-in, so that it is taken once; a fault of kind
	// NotFound if there is none that has not expired.
	TakeSignIn(ctx context.Context, state [32]byte, now time.Time) (SignIn, error)
	// PutGrant puts g in the place of the one that is there.
	PutGrant(ctx context.Context, k securesession.Key, g Grant) error
	// Grant is a fault of kind NotFound if there is none that has not expired.
	Grant(ctx context.Context, k securesession.Key, now time.Time) (Grant, error)
	// SwapGrant writes g if its Version is still the store's, and returns it with the new
	// one; false if it is not.
	SwapGrant(ctx context.Context, k securesession.Key, g Grant) (Grant, bool, error)
	// DeleteGrant removes the grant if its version is still the store's; false if it is not.
	DeleteGrant(ctx context.Context, k securesession.Key, version int64) (bool, error)
}

// tokens are what a provider has given for a user.
type tokens struct {
	access  secret.Bytes
	refresh secret.Bytes // empty: none
	expires time.Time    // of the access token; zero: not said
	ends    time.Time    // then the user signs in again, whatever the provider says
}

// wireTokens are tokens as they are sealed. Times are nanoseconds since 1970, 0 for none.
type wireTokens struct {
	Access  string `json:"a"`
	Refresh string `json:"r,omitempty"`
	Expires int64  `json:"e,omitempty"`
	Ends    int64  `json:"m"`
}

func (t tokens) marshal() ([]byte, error) {
	w := wireTokens{Access: string(t.access.Reveal()), Refresh: string(t.refresh.Reveal()), Ends: t.ends.UnixNano()}
	if !t.expires.IsZero() {
		w.Expires = t.expires.UnixNano()
	}
	return json.Marshal(w)
}

func parseTokens(plain []byte) (tokens, error) {
	var w wireTokens
	if err := json.Unmarshal(plain, &w); err != nil {
		return tokens{}, err
	}
	t := tokens{access: secret.FromString(w.Access), refresh: secret.FromString(w.Refresh), ends: time.Unix(0, w.Ends)}
	if w.Expires != 0 {
		t.expires = time.Unix(0, w.Expires)
	}
	return t, nil
}

// sealTokens binds tokens to the conversation: in another's row they do not open.
func (b *Broker) sealTokens(k securesession.Key, t tokens) ([]byte, error) {
	plain, err := t.marshal()
	if err != nil {
		return nil, err
	}
	return b.c.Box.SealBytes(grantPurpose(k), plain)
}

func (b *Broker) openTokens(k securesession.Key, g Grant) (tokens, error) {
	plain, err := b.c.Box.OpenBytes(grantPurpose(k), g.Sealed)
	if err != nil {
		return tokens{}, err
	}
	return parseTokens(plain)
}

func grantPurpose(k securesession.Key) string {
	return fmt.Sprintf("auth profile grant %q %q", k.Bot, k.Conversation)
}

func digest(s string) [32]byte { return sha256.Sum256([]byte(s)) }
