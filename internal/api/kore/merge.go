package kore

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// mergeWithin is for how long after its end an assertion says who its holder was before
// signing in.
const mergeWithin = 30 * 24 * time.Hour

// merge brings along what the visitor said before signing in, if the assertion names
// that identity. One that must not be merged is left alone: who the visitor is now has
// been proven all the same. While that cannot be told nobody goes on without.
func (h *Handler) merge(ctx context.Context, v visitor, now time.Time) error {
	if v.before == "" {
		return nil
	}
	from, err := h.before(ctx, v, now)
	if fault.KindOf(err) == fault.Unavailable {
		return err
	}
	if err != nil {
		h.c.Log.LogAttrs(ctx, slog.LevelWarn, "identityToMerge ignored", slog.String("app", string(v.app.ID)), slog.Any("err", err))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return h.c.Engine.Merge(ctx, from, v.user)
}

// before is the user that the visitor was. A page may have had a say in that name, and
// with a known user's it would take over what is not its own. So the name must be an
// anonymous one, by itself (no one can guess those that the JWT service makes) or by an
// assertion of the same app that says so.
func (h *Handler) before(ctx context.Context, v visitor, now time.Time) (chat.User, error) {
	from := chat.User{Issuer: v.user.Issuer, Subject: v.before}
	switch {
	case v.anonymous:
		return chat.User{}, errors.New("the visitor is still anonymous")
	case token.IsAnonymous(v.before):
		return from, nil
	case strings.Count(v.before, ".") < 2:
		return chat.User{}, errors.New("it is neither an assertion nor an identity that the JWT service made")
	}
	was, err := h.read(ctx, v.before, now)
	switch {
	case err != nil:
		return chat.User{}, err
	case was.app.ID != v.app.ID:
		return chat.User{}, errors.New("its assertion is of another app")
	case !was.anonymous:
		return chat.User{}, errors.New("its assertion is of a known user")
	case now.After(was.expires.Add(mergeWithin)):
		return chat.User{}, errors.New("its assertion is too old")
	}
	return was.user, nil
}
