package socket

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Challenge checks a client's handshake and returns its key (RFC 6455 §4.2.1). The client
// must offer the subprotocol, unless that is "". What is wrong is said to it, also in the
// answer's headers where the RFC wants that.
func Challenge(answer http.Header, r *http.Request, protocol string) (key string, err error) {
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
	case protocol != "" && !lists(r.Header, "Sec-Websocket-Protocol", protocol):
		return "", fault.BadField("Sec-WebSocket-Protocol", "must offer "+protocol)
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
