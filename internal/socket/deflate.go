package socket

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/lxzan/gws"
)

const (
	// deflateFrom is how long a frame must be to be compressed, in bytes.
	deflateFrom = 512
	// deflaters is how many frames are (de)compressed at the same time. Each takes about
	// a megabyte, whether it is used or not.
	deflaters = 4
)

// deflate compresses each message by itself (RFC 7692 §7.1.1 with no context takeover on
// either side): connections have no window of their own, and no message is compressed
// together with another.
func deflate() gws.PermessageDeflate {
	return gws.PermessageDeflate{Enabled: true, Level: 1, Threshold: deflateFrom, PoolSize: deflaters}
}

const (
	extensions   = "Sec-Websocket-Extensions"
	deflateOffer = "permessage-deflate"
	// deflateAnswer is the offer as the library must see it to answer with these parameters.
	deflateAnswer = deflateOffer + "; server_no_context_takeover; client_no_context_takeover"
)

// offersDeflate tells whether a client offers compression that the server can answer:
// without a bound on the server's window, which is the largest.
func offersDeflate(h http.Header) bool {
	for _, line := range h.Values(extensions) {
		for offer := range strings.SplitSeq(line, ",") {
			if answerable(offer) {
				return true
			}
		}
	}
	return false
}

func answerable(offer string) bool {
	name, parameters, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != deflateOffer {
		return false
	}
	for p := range strings.SplitSeq(parameters, ";") {
		switch p, _, _ = strings.Cut(p, "="); strings.TrimSpace(p) {
		case "", "server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits":
		default:
			return false
		}
	}
	return true
}

// The close frame that the library sends when a message inflates to more than it may, and
// the code of RFC 6455 §7.4.1 that it means.
var (
	inflatedTooFar = append([]byte{0x88, 2 + 22, 1011 >> 8, 1011 & 0xff}, "gws: message too large"...)
	tooLarge       = append([]byte{0x88, 2 + 22, 1009 >> 8, 1009 & 0xff}, "gws: message too large"...)
)

// rightCode puts the code that gws 1.8.9 means in place of the one that it sends.
func rightCode(p []byte) []byte {
	if bytes.Equal(p, inflatedTooFar) {
		return tooLarge
	}
	return p
}
