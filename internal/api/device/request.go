package device

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// maxBody bounds a request as it comes, and once more when it is inflated.
const maxBody = 1 << 20

// request is what counts of the body; clients send more.
type request struct {
	Params struct {
		MsgID string `json:"msgid"`
	} `json:"params"`
	Request *requestKey `json:"request"`
}

type requestKey struct {
	Key string `json:"key"`
}

func read(w http.ResponseWriter, r *http.Request) (request, error) {
	body, err := post(w, r, "application/json")
	if err != nil {
		return request{}, err
	}
	if body, err = inflate(body); err != nil {
		return request{}, err
	}
	if b := bytes.TrimSpace(body); len(b) == 0 || string(b) == "null" {
		return request{}, fault.New(fault.Invalid, "Required request body is missing")
	}
	var req request
	return req, httpx.DecodeJSON(body, &req)
}

// post is the body of a POST of the media type.
func post(w http.ResponseWriter, r *http.Request, media string) ([]byte, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, fault.Newf(fault.MethodNotAllowed, "Request method '%s' not supported", r.Method)
	}
	if httpx.MediaType(r) != media {
		return nil, fault.New(fault.UnsupportedMedia, "Content type not supported: it must be "+media)
	}
	return httpx.ReadBody(w, r, maxBody)
}

// inflate goes by the first bytes: the mobile SDK says "Content-Encoding: gzip"
// over plain JSON.
func inflate(body []byte) ([]byte, error) {
	if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		return body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body is not gzip")
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxBody+1))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body is not gzip")
	}
	if len(plain) > maxBody {
		return nil, fault.Newf(fault.TooLarge, "the body must be at most %d bytes", maxBody)
	}
	return plain, nil
}
