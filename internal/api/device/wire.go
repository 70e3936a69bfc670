package device

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/wire"
)

// envelope is Sunbird's answer. The order of the members is the original's.
type envelope struct {
	ID     string `json:"id"`
	Ver    string `json:"ver"`
	Ets    int64  `json:"ets"` // milliseconds
	Params params `json:"params"`
	Result result `json:"result"`
}

type params struct {
	Status   string  `json:"status"`
	Err      *string `json:"err"`    // null on success
	ErrMsg   *string `json:"errmsg"` // null on success
	MsgID    string  `json:"msgid"`
	ResMsgID string  `json:"resmsgid"`
}

// result always has all three: an empty secret tells clients that there is none.
type result struct {
	Key    string `json:"key"`
	Secret string `json:"secret"`
	Token  string `json:"token"`
}

func (h *Handler) envelope(req request) envelope {
	return envelope{
		// The original answers with the identifier of another call. Clients have
		// seen it for years.
		ID: "ekstep.api.am.adminutil.consumer.create", Ver: "1.0", Ets: h.c.Clock().UnixMilli(),
		Params: params{MsgID: req.Params.MsgID, ResMsgID: newUUID()},
	}
}

func (h *Handler) writeResult(w http.ResponseWriter, req request, res result) {
	e := h.envelope(req)
	e.Params.Status, e.Result = "successful", res
	writeJSON(w, http.StatusOK, e)
}

// writeFailure answers a registration that was refused, in the envelope.
func (h *Handler) writeFailure(w http.ResponseWriter, r *http.Request, req request, err error) {
	if kind := fault.KindOf(err); kind == fault.Internal || kind == fault.Unavailable {
		logFailure(r, slog.LevelError, "device not registered", err)
	}
	setRetryAfter(w, err)
	status, code, message := explain(req, err)
	e := h.envelope(req)
	e.Params.Status, e.Params.Err, e.Params.ErrMsg = "failed", &code, &message
	writeJSON(w, status, e)
}

// statusMoved tells the mobile SDK to register at the Location. It is no status of HTTP.
const statusMoved = 447

// writeMoved sends the client elsewhere.
func (h *Handler) writeMoved(w http.ResponseWriter, req request, to string) {
	code, message := "MOVED", "REGISTER AT THE LOCATION"
	e := h.envelope(req)
	e.Params.Status, e.Params.Err, e.Params.ErrMsg = "failed", &code, &message
	w.Header().Set("Location", to)
	writeJSON(w, statusMoved, e)
}

// contract is how the original words each problem of a key. It has no words for
// the last three, which it let pass.
var contract = map[device.Problem]string{
	device.Missing:  "KEY IS MANDATORY",
	device.Space:    "KEY MUST NOT HAVE SPACE",
	device.UUID:     "KEY MUST NOT BE A UUID",
	device.TooLong:  "KEY MUST NOT BE LONGER THAN 128 BYTES",
	device.Charset:  "KEY MUST BE PRINTABLE ASCII",
	device.Reserved: "KEY MUST NOT BEGIN WITH AN ISSUER PREFIX",
}

// explain gives the status, and err and errmsg of the envelope.
func explain(req request, err error) (status int, code, message string) {
	if req.Request == nil {
		return http.StatusBadRequest, "BAD_REQUEST", "REQUEST IS MANDATORY"
	}
	if e, ok := errors.AsType[*device.KeyError](err); ok {
		words := make([]string, len(e.Problems))
		for i, p := range e.Problems {
			words[i] = contract[p]
		}
		return http.StatusBadRequest, "BAD_REQUEST", strings.Join(words, ", ")
	}
	if e, ok := errors.AsType[*device.CreateError](err); ok {
		message = "ERROR WHEN CREATING CREDENTIAL FOR CONSUMER."
		if e.Taken {
			message += " KEY : " + req.Request.Key + ", already exists."
		}
		return http.StatusBadRequest, "CREATE_CREDENTIAL_ERROR", message
	}
	switch kind := fault.KindOf(err); kind {
	case fault.NotFound:
		return kind.Status(), "NOT_FOUND", "CONSUMER DOES NOT REGISTER CREDENTIALS"
	case fault.Limited:
		return kind.Status(), "TOO_MANY_REQUESTS", "TOO MANY REGISTRATIONS"
	case fault.Unavailable:
		return kind.Status(), "SERVICE_UNAVAILABLE", "UNABLE TO REGISTER CREDENTIAL RIGHT NOW"
	default:
		return http.StatusInternalServerError, "INTERNAL_ERROR", "UNABLE TO REGISTER CREDENTIAL DUE TO INTERNAL ERROR"
	}
}

// logFailure writes down what the client is not told. A cause has neither the token
// nor the key that it is about.
func logFailure(r *http.Request, level slog.Level, what string, err error) {
	if r.Context().Err() == nil { // else the client is gone, and that is all there is to it
		httpx.LogFrom(r.Context()).LogAttrs(r.Context(), level, what, slog.Any("err", err))
	}
}

// springError is the document that Spring Boot makes of a request that never
// reached the original's code.
type springError struct {
	Timestamp int64  `json:"timestamp"` // milliseconds
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Exception string `json:"exception,omitempty"`
	Message   string `json:"message"`
	Path      string `json:"path"`
}

// exceptions are Spring's names of what went wrong.
var exceptions = map[fault.Kind]string{
	fault.Invalid:          "org.springframework.http.converter.HttpMessageNotReadableException",
	fault.MethodNotAllowed: "org.springframework.web.HttpRequestMethodNotSupportedException",
	fault.UnsupportedMedia: "org.springframework.web.HttpMediaTypeNotSupportedException",
}

func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	public := fault.Public(err)
	message := public.Msg
	if public.Field != "" {
		message = public.Field + " " + message
	}
	status := public.Kind.Status()
	writeJSON(w, status, springError{
		Timestamp: h.c.Clock().UnixMilli(), Status: status, Error: http.StatusText(status),
		Exception: exceptions[public.Kind], Message: message, Path: r.URL.Path,
	})
}

// writeJSON writes as Jackson does, without escapes for HTML.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := wire.JSON(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// newUUID is a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
