package server

import (
	"context"
	"net/netip"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/user"
)

// people are those who sign in: of the operator's own directory if there is one, else of
// the built-in one.
type people struct {
	builtin *user.Directory
	own     *user.Remote // nil: there is none
}

func (s *Server) people() people {
	p, l := people{builtin: s.core.Users}, s.core.Config.Login
	if l.Connector == "" {
		return p
	}
	find := func(alias string) func() (*connector.Client, bool) {
		if alias == "" {
			return nil
		}
		return func() (*connector.Client, bool) { return s.connectors.Connector(alias) }
	}
	p.own = user.NewRemote(user.RemoteConfig{SignIn: find(l.Connector), Refresh: find(l.Refresh), Scopes: l.Scopes})
	return p
}

// Authenticate returns the user of that name and password.
func (p people) Authenticate(ctx context.Context, name string, password secret.Bytes, from netip.Addr) (user.User, error) {
	if p.own != nil {
		return p.own.Authenticate(ctx, name, password, from)
	}
	return p.builtin.Authenticate(ctx, name, password)
}

// ByID is the user of a subject. What those of the operator's own directory may have it
// says when they sign in, and nobody else: here they have no scopes.
func (p people) ByID(ctx context.Context, subject string) (user.User, error) {
	if p.own == nil || !p.own.Knows(subject) {
		return p.builtin.ByID(ctx, subject)
	}
	active, err := p.own.Active(ctx, subject)
	return user.User{ID: user.ID(subject), Disabled: !active}, err
}

// Active tells whether a subject may go on, which the directory that it came from says.
// Those of a directory that is no more may not.
func (p people) Active(ctx context.Context, subject string) (bool, error) {
	if p.own != nil && p.own.Knows(subject) {
		return p.own.Active(ctx, subject)
	}
	return p.builtin.Active(ctx, subject)
}

// KeepsPassword tells whether a subject is of the built-in directory.
func (p people) KeepsPassword(subject string) bool { return p.own == nil || !p.own.Knows(subject) }

// ChangePassword is for users of the built-in directory.
func (p people) ChangePassword(ctx context.Context, id user.ID, old, fresh secret.Bytes) error {
	return p.builtin.ChangePassword(ctx, id, old, fresh)
}
