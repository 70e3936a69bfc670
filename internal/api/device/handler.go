// Package device serves Sunbird's device registration, version 2, as adminutil
// does, byte for byte where clients look. It is meant to stand behind the
// gateway, whose rules say who may register; by itself it asks nobody.
package device

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/key"
)

// maxBody bounds a request as it comes, and once more when it is inflated.
const maxBody = 1 << 20

// registrar makes a device's token.
type registrar interface {
	Register(ctx context.Context, set key.SetName, deviceKey string) (string, error)
}

// Config requires Registrar.
type Config struct {
	Registrar registrar
	Clock     func() time.Time // nil: time.Now
}

// Handler serves the registration.
type Handler struct {
	registrar registrar
	clock     func() time.Time
}

// New returns a handler; Mount says where it serves.
func New(c Config) *Handler {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Handler{registrar: c.Registrar, clock: c.Clock}
}

// Mount serves the public path and the one of the service behind it.
func (h *Handler) Mount(mux *http.ServeMux) {
	const path = "/v2/consumer/{consumer}/credential/register"
	mux.HandleFunc(path, h.register)
	mux.HandleFunc("/api/api-manager"+path, h.register)
}

func (h *Handler) register(w http.ResponseWriter, r *http.Request) {
	req, err := read(w, r)
	if err != nil {
		h.writeError(w, r, err)
		return
	}
	deviceKey := ""
	if req.Request != nil {
		deviceKey = req.Request.Key
	}
	token, err := h.registrar.Register(r.Context(), key.SetName(r.PathValue("consumer")), deviceKey)
	if err == nil {
		h.writeResult(w, req, result{Key: deviceKey, Token: token})
		return
	}
	h.writeFailure(w, r, req, err)
}

// request is what counts of the body; clients send more.
type request struct {
	Params struct {
		MsgID string `json:"msgid"`
	} `json:"params"`
	Request *struct {
		Key string `json:"key"`
	} `json:"request"`
}

func read(w http.ResponseWriter, r *http.Request) (request, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return request{}, fault.Newf(fault.MethodNotAllowed, "Request method '%s' not supported", r.Method)
	}
	if media := httpx.MediaType(r); media != "application/json" {
		return request{}, fault.New(fault.UnsupportedMedia, "Content type not supported: it must be application/json")
	}
	body, err := httpx.ReadBody(w, r, maxBody)
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

// contract is how the original words each problem of a key. It has no words for
// the last two, which it let pass.
var contract = map[device.Problem]string{
	device.Missing: "KEY IS MANDATORY",
	device.Space:   "KEY MUST NOT HAVE SPACE",
	device.UUID:    "KEY MUST NOT BE A UUID",
	device.TooLong: "KEY MUST NOT BE LONGER THAN 128 BYTES",
	device.Charset: "KEY MUST BE PRINTABLE ASCII",
}

// explain gives err and errmsg of the envelope.
func explain(req request, err error) (code, message string) {
	if req.Request == nil {
		return "BAD_REQUEST", "REQUEST IS MANDATORY"
	}
	if e, ok := errors.AsType[*device.KeyError](err); ok {
		for i, p := range e.Problems {
			if i > 0 {
				message += ", "
			}
			message += contract[p]
		}
		return "BAD_REQUEST", message
	}
	switch fault.KindOf(err) {
	case fault.NotFound:
		return "NOT_FOUND", "CONSUMER DOES NOT REGISTER CREDENTIALS"
	case fault.Unavailable:
		return "SERVICE_UNAVAILABLE", "UNABLE TO REGISTER CREDENTIAL RIGHT NOW"
	default:
		return "INTERNAL_ERROR", "UNABLE TO REGISTER CREDENTIAL DUE TO INTERNAL ERROR"
	}
}
