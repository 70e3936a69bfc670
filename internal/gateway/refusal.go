package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
)

// refusal is the answer to a request that goes no further.
type refusal struct {
	status    int
	body      string // JSON
	challenge string // WWW-Authenticate, "" for none
	reason    string // for the log and for explain; holds nothing of the request
	request   string // the request's number in the document, "" if that has none
}

// message is a refusal with Kong's shortest document.
func message(status int, text, reason string) *refusal {
	return &refusal{status: status, body: `{"message":` + strconv.Quote(text) + `}`, reason: reason}
}

// document is a refusal with the document that Kong's plugins but jwt answer with: a
// message and the number that the log knows the request by.
func document(status int, text, reason string) *refusal {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails (crypto/rand)
	number := hex.EncodeToString(id)
	return &refusal{
		status: status, reason: reason, request: number,
		body: "{\n  \"message\":" + strconv.Quote(text) + ",\n  \"request_id\":\"" + number + "\"\n}",
	}
}

func (f *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	if f.challenge != "" {
		h["Www-Authenticate"] = []string{f.challenge}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(f.body))}
	w.WriteHeader(f.status)
	_, _ = w.Write([]byte(f.body)) // the client may be gone; there is nobody to tell
}
