package device

import (
	"log/slog"
	"net/http"
)

// healthAnswer is Sunbird's answer to a health check: 200, whatever it says.
type healthAnswer struct {
	ID     string       `json:"id"`
	Ver    string       `json:"ver"`
	Ets    int64        `json:"ets"` // milliseconds
	Params params       `json:"params"`
	Result healthResult `json:"result"`
}

type healthResult struct {
	Name    string        `json:"name"`
	Healthy bool          `json:"healthy"`
	Checks  []healthCheck `json:"checks"`
}

type healthCheck struct {
	Name    string  `json:"name"`
	Healthy bool    `json:"healthy"`
	Err     *string `json:"err"`
	ErrMsg  *string `json:"errmsg"`
}

// health looks at what stands where the original asked Kong's Admin API: the store
// of the credentials.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	check := healthCheck{Name: "AM Admin API", Healthy: true}
	if err := h.c.Health(r.Context()); err != nil {
		logFailure(r, slog.LevelError, "device registration is not healthy", err)
		code, message := "INTERNAL_ERROR", "ERROR WHEN DETERMINING HEALTH. Msg: the store does not answer"
		check = healthCheck{Name: check.Name, Err: &code, ErrMsg: &message}
	}
	h.writeHealth(w, check)
}

// serviceHealth says that the process runs.
func (h *Handler) serviceHealth(w http.ResponseWriter, _ *http.Request) {
	h.writeHealth(w, healthCheck{Name: "Admin Util", Healthy: true})
}

func (h *Handler) writeHealth(w http.ResponseWriter, check healthCheck) {
	writeJSON(w, http.StatusOK, healthAnswer{
		ID: "ekstep.am.adminutil.health", Ver: "1.0", Ets: h.c.Clock().UnixMilli(),
		Params: params{Status: "successful", MsgID: newUUID(), ResMsgID: newUUID()},
		Result: healthResult{Name: "am.adminutil", Healthy: check.Healthy, Checks: []healthCheck{check}},
	})
}
