package user

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// remotePrefix begins the subjects of a [Remote], which no user of a [Directory] and no
// app has.
const remotePrefix = "ext_"

// The bounds of what a remote directory is asked, and says, in bytes.
const (
	maxRemoteName    = 256
	maxRemoteSubject = 200
)

// RemoteConfig requires SignIn.
type RemoteConfig struct {
	// SignIn finds the connector that is asked with username, password and ip, and says
	// subject and, if it likes, name and scopes.
	SignIn func() (*connector.Client, bool)
	// Refresh finds the one that is asked with subject whether that user may go on; nil:
	// everyone may.
	Refresh func() (*connector.Client, bool)
	Scopes  []string // of those for whom the connector says none
}

// Remote is a directory of the operator's own, which is asked each time. It is safe for
// concurrent use.
type Remote struct{ c RemoteConfig }

// NewRemote returns a directory. It asks nobody yet.
func NewRemote(c RemoteConfig) *Remote { return &Remote{c} }

// errWrong is the one refusal of those who are not who they say.
var errWrong = fault.New(fault.Unauthenticated, "the username or the password is wrong")

// Authenticate returns the user of that name and password. A refusal is that of
// [Directory.Authenticate]; a directory that cannot tell is [fault.Unavailable].
func (d *Remote) Authenticate(ctx context.Context, name string, password secret.Bytes, from netip.Addr) (User, error) {
	if !plain(name, maxRemoteName) || password.Len() > maxPassword || !utf8.Valid(password.Reveal()) {
		return User{}, errWrong
	}
	r, yes, err := confirm(ctx, d.c.SignIn, map[string]string{
		"username": name, "password": string(password.Reveal()), "ip": from.String(),
	}, connector.NewActor(from, Normalize(name)))
	switch {
	case err != nil:
		return User{}, err
	case !yes:
		return User{}, errWrong
	}
	return d.user(r)
}

// user reads whom the directory means.
func (d *Remote) user(r connector.Result) (User, error) {
	said, _ := r.Response.(map[string]any)
	subject := text(said["subject"])
	if !plain(subject, maxRemoteSubject) {
		return User{}, connector.Unusable("the directory names no subject: map one, of at most 200 bytes, to $.subject")
	}
	u := User{ID: ID(remotePrefix + subject), Name: text(said["name"]), Scopes: slices.Clone(d.c.Scopes)}
	switch scopes := said["scopes"].(type) {
	case nil:
	case string:
		u.Scopes = strings.Fields(scopes)
	case []any:
		u.Scopes = nil
		for _, s := range scopes {
			u.Scopes = append(u.Scopes, text(s))
		}
	default:
		return User{}, connector.Unusable("the directory's scopes are neither a list nor text")
	}
	if checkScopes(u.Scopes) != nil {
		return User{}, connector.Unusable("the directory's scopes are none (RFC 6749 section 3.3)")
	}
	return u, nil
}

// Knows tells whether a subject is of this directory.
func (*Remote) Knows(subject string) bool { return Remotely(subject) }

// Remotely tells whether a subject is of the form of a [Remote]'s.
func Remotely(subject string) bool { return strings.HasPrefix(subject, remotePrefix) }

// Active tells whether a subject of this directory may go on.
func (d *Remote) Active(ctx context.Context, subject string) (bool, error) {
	name, ok := strings.CutPrefix(subject, remotePrefix)
	if !ok || d.c.Refresh == nil {
		return ok, nil
	}
	_, yes, err := confirm(ctx, d.c.Refresh, map[string]string{"subject": name}, connector.Actor{connector.ByCustomer: name})
	return yes, err
}

func confirm(ctx context.Context, find func() (*connector.Client, bool), input map[string]string, by connector.Actor) (connector.Result, bool, error) {
	client, ok := find()
	if !ok {
		return connector.Result{}, false, connector.Unusable("the connector of login is not there")
	}
	return client.Confirm(ctx, input, by)
}

// text is what a mapping made, if it is text or a number.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// plain tells whether s is of 1 to most bytes of UTF-8 without control characters.
func plain(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
