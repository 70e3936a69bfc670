package device

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
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
		ID: "ekstep.api.am.adminutil.consumer.create", Ver: "1.0", Ets: h.clock().UnixMilli(),
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
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		httpx.LogFrom(r.Context()).LogAttrs(r.Context(), slog.LevelError, "device not registered", slog.Any("err", err))
	}
	if after := fault.Public(err).RetryAfter; after > 0 {
		w.Header().Set("Retry-After", httpx.RetryAfter(after))
	}
	code, message := explain(req, err)
	e := h.envelope(req)
	e.Params.Status, e.Params.Err, e.Params.ErrMsg = "failed", &code, &message
	writeJSON(w, kind.Status(), e)
}

// springError is the document that Spring Boot makes of a request that never
// reached the original's code.
type springError struct {
	Timestamp int64  `json:"timestamp"` // milliseconds
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Message   string `json:"message"`
	Path      string `json:"path"`
}

func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	public := fault.Public(err)
	message := public.Msg
	if public.Field != "" {
		message = public.Field + " " + message
	}
	status := public.Kind.Status()
	writeJSON(w, status, springError{
		Timestamp: h.clock().UnixMilli(), Status: status, Error: http.StatusText(status),
		Message: message, Path: r.URL.Path,
	})
}

// writeJSON writes as Jackson does, without escapes for HTML.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.TrimSuffix(body.Bytes(), []byte("\n"))) // the client may be gone
}

// newUUID is a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
