package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/carnetproject/carnet/internal/wire"
)

// refusal is the answer to a request that goes no further.
type refusal struct {
	status    int
	body      string // JSON; "" for none
	challenge string // WWW-Authenticate, "" for none
	reason    string // for the log and for explain; holds nothing of the request
	by        string // the check, if not the stage that refused
	request   string // the request's number in the document, "" if that has none
	message   string // of the document, which has other forms than JSON; "" if it has none
}

// message is a refusal with Kong's shortest document.
func message(status int, text, reason string) *refusal {
	return &refusal{status: status, body: `{"message":` + quote(text) + `}`, reason: reason}
}

// document is a refusal with the document that Kong and all its plugins but jwt
// answer with: a message and the number that the log knows the request by, in the
// form that the client's Accept asks for.
func document(status int, text, reason string) *refusal {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails (crypto/rand)
	number := hex.EncodeToString(id)
	return &refusal{
		status: status, reason: reason, request: number, message: text,
		body: "{\n  \"message\":" + quote(text) + ",\n  \"request_id\":\"" + number + "\"\n}",
	}
}

// quote is text as a JSON string, as plain as can be.
func quote(text string) string {
	quoted, _ := wire.JSON(text) // a string always encodes
	return string(quoted)
}

// write answers a request with the header asked.
func (f *refusal) write(w http.ResponseWriter, asked http.Header) {
	form, body := jsonForm, f.body
	if f.message != "" {
		form = accepted(asked["Accept"])
		if write := documents[form]; write != nil {
			body = write(f.message, f.request)
		}
	}
	h := w.Header()
	if body != "" {
		h["Content-Type"] = []string{string(form) + "; charset=utf-8"}
	}
	if f.challenge != "" {
		h["Www-Authenticate"] = []string{f.challenge}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(f.status)
	_, _ = w.Write([]byte(body)) // the client may be gone; there is nobody to tell
}
