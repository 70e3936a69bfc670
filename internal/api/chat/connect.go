package chat

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// connect begins a connection. What it refuses is answered over HTTP; the token, which
// comes in the first frame, is refused on the connection.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request) error {
	addr := h.c.ClientAddr(r)
	if ok, after := h.c.Connects.AllowAddr(addr, h.c.Clock()); !ok {
		return &fault.Error{Kind: fault.Limited, Msg: "too many attempts to connect", RetryAfter: after}
	}
	key, err := checkHandshake(w.Header(), r)
	if err != nil {
		return err
	}
	origin, err := h.checkOrigin(r)
	if err != nil {
		return err
	}
	addr = holder(addr)
	if err := h.admit(addr); err != nil {
		return err
	}
	sock, err := h.upgrade.upgrade(w, key)
	if err != nil {
		h.leave(addr, nil)
		if fault.KindOf(err) == fault.Invalid {
			return err
		}
		h.c.Log.LogAttrs(r.Context(), slog.LevelDebug, "handshake ended early", slog.Any("err", err))
		return nil // nobody is left to answer
	}
	c := &conn{h: h, origin: origin, opened: h.age(), out: queue{sock: sock}}
	c.pinged = c.opened
	c.seen.Store(int64(c.opened))
	h.enter(c)
	// On a goroutine of its own, so that the request and its buffers are let go.
	ctx := context.WithoutCancel(r.Context())
	go func() {
		defer h.leave(addr, c)
		c.run(ctx)
	}()
	return nil
}

// checkHandshake returns the client's challenge (RFC 6455 §4.2.1).
func checkHandshake(answer http.Header, r *http.Request) (key string, err error) {
	key = r.Header.Get("Sec-Websocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(key)
	switch {
	case r.Method != http.MethodGet:
		answer.Set("Allow", http.MethodGet)
		return "", fault.New(fault.MethodNotAllowed, "the method must be GET")
	case !lists(r.Header, "Connection", "upgrade") || !lists(r.Header, "Upgrade", "websocket"):
		answer.Set("Upgrade", "websocket")
		return "", fault.New(fault.Invalid, "this address wants a WebSocket handshake")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		answer.Set("Sec-WebSocket-Version", "13")
		return "", fault.BadField("Sec-WebSocket-Version", "must be 13")
	case err != nil || len(nonce) != 16:
		return "", fault.BadField("Sec-WebSocket-Key", "must be 16 bytes in base64")
	case !lists(r.Header, "Sec-Websocket-Protocol", subprotocol):
		return "", fault.BadField("Sec-WebSocket-Protocol", "must offer "+subprotocol)
	}
	return key, nil
}

// lists tells whether a header's comma-separated values have word, in any case.
func lists(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for value := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(value), word) {
				return true
			}
		}
	}
	return false
}

// holder is what an address's connections are counted under: in IPv6 the /64, since
// whoever has one address of it has them all.
func holder(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // 64 bits are in range
	return p.Addr()
}
