package device

import (
	"log/slog"
	"net/http"
	"net/url"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// refreshAnswer is the answer to a refresh, in the original's order.
type refreshAnswer struct {
	ID     string        `json:"id"`
	Ver    string        `json:"ver"`
	TS     int64         `json:"ts"` // milliseconds
	Params refreshParams `json:"params"`
	Result refreshResult `json:"result"`
}

type refreshParams struct {
	ResMsgID string  `json:"resmsgid"`
	Status   string  `json:"status"`
	Err      *string `json:"err"`    // null on success
	ErrMsg   *string `json:"errmsg"` // null on success
}

type refreshResult struct {
	AccessToken      *string `json:"access_token"`       // null on failure
	ExpiresIn        int64   `json:"expires_in"`         // seconds
	RefreshExpiresIn int64   `json:"refresh_expires_in"` // seconds; 0 for an offline token
	RefreshToken     *string `json:"refresh_token"`      // the one that was shown
}

func (h *Handler) refresh(w http.ResponseWriter, r *http.Request) {
	body, err := post(w, r, "application/x-www-form-urlencoded")
	if err != nil {
		h.writeError(w, r, err)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["refresh_token"]) != 1 || form.Get("refresh_token") == "" {
		h.refuseRefresh(w, http.StatusBadRequest, "BAD_REQUEST", "")
		return
	}
	token := form.Get("refresh_token")
	got, err := h.c.Refresher.Refresh(r.Context(), token)
	if err != nil {
		h.refreshFailed(w, r, err)
		return
	}
	h.writeRefresh(w, http.StatusOK, refreshParams{Status: "successful"}, refreshResult{
		AccessToken: &got.Token, ExpiresIn: int64(got.ExpiresIn.Seconds()),
		RefreshExpiresIn: int64(got.Refresh.Seconds()), RefreshToken: &token,
	})
}

// refreshFailed answers a token that is not good like any other.
func (h *Handler) refreshFailed(w http.ResponseWriter, r *http.Request, err error) {
	switch kind := fault.KindOf(err); kind {
	case fault.Invalid:
		logFailure(r, slog.LevelInfo, "access token not refreshed", err)
		h.refuseRefresh(w, http.StatusBadRequest, "invalid_grant", "invalid_grant")
	case fault.Unavailable:
		logFailure(r, slog.LevelError, "access token not refreshed", err)
		setRetryAfter(w, err)
		h.refuseRefresh(w, kind.Status(), "SERVICE_UNAVAILABLE", "UNABLE TO REFRESH TOKEN RIGHT NOW")
	default:
		logFailure(r, slog.LevelError, "access token not refreshed", err)
		h.refuseRefresh(w, http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "Oops! Something went wrong!")
	}
}

func (h *Handler) refuseRefresh(w http.ResponseWriter, status int, code, message string) {
	h.writeRefresh(w, status, refreshParams{Status: "failed", Err: &code, ErrMsg: &message}, refreshResult{})
}

func (h *Handler) writeRefresh(w http.ResponseWriter, status int, p refreshParams, res refreshResult) {
	p.ResMsgID = newUUID()
	writeJSON(w, status, refreshAnswer{
		ID: "api.refresh.token", Ver: "1.0", TS: h.c.Clock().UnixMilli(), Params: p, Result: res,
	})
}

// setRetryAfter says when to try again, if the fault does.
func setRetryAfter(w http.ResponseWriter, err error) {
	if after := fault.Public(err).RetryAfter; after > 0 {
		w.Header().Set("Retry-After", httpx.RetryAfter(after))
	}
}
