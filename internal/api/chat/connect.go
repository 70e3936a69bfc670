package chat

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/socket"
)

// connect begins a connection. What it refuses is answered over HTTP; the token, which
// comes in the first frame, is refused on the connection.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request) error {
	key, err := socket.Challenge(w.Header(), r, subprotocol)
	if err != nil {
		return err
	}
	addr, origin, err := h.admit(r)
	if err != nil {
		return err
	}
	sock, err := h.upgrade.Upgrade(w, r, key)
	if err != nil {
		h.conns.Leave(addr, nil)
		if fault.KindOf(err) == fault.Invalid {
			return err
		}
		h.c.Log.LogAttrs(r.Context(), slog.LevelDebug, "handshake ended early", slog.Any("err", err))
		return nil // nobody is left to answer
	}
	c := &conn{h: h, addr: addr, origin: origin, out: socket.Queue{Line: sock}}
	h.enter(c)
	// On a goroutine of its own, so that the request and its buffers are let go.
	ctx := context.WithoutCancel(r.Context())
	go func() {
		defer h.conns.Leave(addr, c)
		c.run(ctx, sock.Read)
	}()
	return nil
}

// admit counts a client in that may connect. It leaves under the address.
func (h *Handler) admit(r *http.Request) (addr netip.Addr, origin string, err error) {
	addr = h.c.ClientAddr(r)
	if ok, after := h.c.Connects.AllowAddr(addr, h.c.Clock()); !ok {
		return addr, "", tooManyAttempts(after)
	}
	if origin, err = h.checkOrigin(r); err != nil {
		return addr, "", err
	}
	return addr, origin, h.conns.Admit(addr)
}

// attempt does a check of a token that comes with a request. A bad one is an attempt to
// connect like others; a good one costs none, so that who is let in may say much.
func (h *Handler) attempt(addr netip.Addr, check func() error) error {
	if ok, after := h.c.Connects.AskAddr(addr, h.c.Clock()); !ok {
		return tooManyAttempts(after)
	}
	err := check()
	if fault.KindOf(err) == fault.Unauthenticated {
		h.c.Connects.AllowAddr(addr, h.c.Clock())
	}
	return err
}

func tooManyAttempts(after time.Duration) error {
	return &fault.Error{Kind: fault.Limited, Msg: "too many attempts to connect", RetryAfter: after}
}
