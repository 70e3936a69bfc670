package kore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/wire"
)

const maxBody = 64 << 10

// botInfo is what a page says of its bot and of itself.
type botInfo struct {
	Name       string          `json:"chatBot"`
	ID         string          `json:"taskBotId"`
	UIVersion  string          `json:"uiVersion"` // "v3" from 11.x on
	CustomData json.RawMessage `json:"customData"`
	MetaTags   json.RawMessage `json:"metaTags"`
}

type grantRequest struct {
	Assertion string  `json:"assertion"`
	BotInfo   botInfo `json:"botInfo"`
}

// grantAnswer is what the SDK gives its host as jwtGrantSuccess. The SDK itself reads the
// access token alone.
type grantAnswer struct {
	Authorization authorization `json:"authorization"`
	UserInfo      userInfo      `json:"userInfo"`
}

type authorization struct {
	AccessToken string `json:"accessToken"`
	TokenType   string `json:"token_type"`
	Expires     string `json:"expiresDate"`
	Issued      string `json:"issuedDate"`
}

type userInfo struct {
	UserID     string `json:"userId"`
	AccountID  string `json:"accountId"`
	OrgID      string `json:"orgId"`
	Identity   string `json:"identity"`
	EnrollType string `json:"enrollType"`
	ManagedBy  string `json:"managedBy"`
	FirstName  string `json:"fName"`
	LastName   string `json:"lName"`
	Anonymous  bool   `json:"isAnonymous"`
}

// grant exchanges an assertion for a bearer token. The answer must be exactly 200.
func (h *Handler) grant(w http.ResponseWriter, r *http.Request) error {
	var req grantRequest
	if err := httpx.ReadJSON(w, r, maxBody, &req); err != nil {
		return err
	}
	now := h.c.Clock()
	id, known := h.c.Bot(req.BotInfo.ID, req.BotInfo.Name)
	if !known { // before the assertion is used up
		return fault.BadField("botInfo.taskBotId", "must be the _id of a bot that is configured here")
	}
	v, err := h.verify(r.Context(), req.Assertion, now)
	if err != nil {
		return err
	}
	if err := checkOrigin(w, r, v.app); err != nil {
		return err
	}
	if err := h.merge(r.Context(), v, now); err != nil {
		return err
	}
	g := h.newGrant(v, req.BotInfo, id, now)
	sealed, err := h.seal(grantPurpose, g)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, grantAnswer{
		Authorization: authorization{
			AccessToken: sealed, TokenType: "bearer",
			Expires: wire.Time(g.expires()), Issued: wire.Time(g.issued()),
		},
		UserInfo: newUserInfo(g),
	})
	return nil
}

func newUserInfo(g grant) userInfo {
	return userInfo{
		UserID: userID(g.user()), AccountID: string(g.App), OrgID: "o-" + string(g.App), ManagedBy: "o-" + string(g.App),
		Identity: string(g.App) + "/" + g.Subject, EnrollType: "free", Anonymous: g.Anonymous,
	}
}

// userID is a name for the user that tells nobody who it is.
func userID(u chat.User) string {
	sum := sha256.Sum256([]byte(u.Issuer + "\x00" + u.Subject))
	return "u-" + hex.EncodeToString(sum[:16])
}
