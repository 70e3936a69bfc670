package socket

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carnetproject/carnet/internal/fault"
)

const goodKey = "AAAAAAAAAAAAAAAAAAAAAA=="

func TestChallenge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header   []string // pairs; "-" takes one away
		protocol string
		want     fault.Kind
		answer   string // a header of it
	}{
		"whole":                    {nil, "carnet.v1", 0, ""},
		"no subprotocol asked for": {[]string{"Sec-WebSocket-Protocol", "-"}, "", 0, ""},
		"words in any case":        {[]string{"Connection", "keep-alive, UPGRADE", "Upgrade", "WebSocket"}, "carnet.v1", 0, ""},
		"no upgrade":               {[]string{"Upgrade", "-"}, "carnet.v1", fault.Invalid, "Upgrade"},
		"upgrade to something":     {[]string{"Upgrade", "h2c"}, "carnet.v1", fault.Invalid, "Upgrade"},
		"no connection header":     {[]string{"Connection", "-"}, "carnet.v1", fault.Invalid, "Upgrade"},
		"old version":              {[]string{"Sec-WebSocket-Version", "8"}, "carnet.v1", fault.Invalid, "Sec-WebSocket-Version"},
		"no key":                   {[]string{"Sec-WebSocket-Key", "-"}, "carnet.v1", fault.Invalid, ""},
		"short key":                {[]string{"Sec-WebSocket-Key", "AAAA"}, "carnet.v1", fault.Invalid, ""},
		"key that is no base64":    {[]string{"Sec-WebSocket-Key", "!!!!AAAAAAAAAAAAAAAAAA=="}, "carnet.v1", fault.Invalid, ""},
		"other subprotocol":        {[]string{"Sec-WebSocket-Protocol", "carnet.v2"}, "carnet.v1", fault.Invalid, ""},
		"POST":                     {[]string{"method", "POST"}, "carnet.v1", fault.MethodNotAllowed, "Allow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			for name, value := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": goodKey, "Sec-WebSocket-Protocol": "carnet.v0, carnet.v1",
			} {
				r.Header.Set(name, value)
			}
			for i := 0; i < len(tc.header); i += 2 {
				switch name, value := tc.header[i], tc.header[i+1]; {
				case name == "method":
					r.Method = value
				case value == "-":
					r.Header.Del(name)
				default:
					r.Header.Set(name, value)
				}
			}
			answer := http.Header{}
			key, err := Challenge(answer, r, tc.protocol)
			if tc.want == 0 {
				if err != nil || key != goodKey {
					t.Errorf("Challenge() = %q, %v", key, err)
				}
				return
			}
			if err == nil || fault.KindOf(err) != tc.want || tc.answer != "" && answer.Get(tc.answer) == "" {
				t.Errorf("Challenge() = %q, %v, answer %v", key, err, answer)
			}
		})
	}
}
