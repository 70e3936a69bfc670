package sts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

// claim is what the API of an app's connector is asked about: the input of the connector.
// Members that the visitor did not show are left out.
type claim struct {
	ClientID      app.ID            `json:"clientId"`
	Identity      string            `json:"identity,omitempty"`
	Authorization string            `json:"authorization,omitempty"` // the header as it came
	Cookies       map[string]string `json:"cookie,omitempty"`        // those that the app names
	Origin        string            `json:"origin,omitempty"`
	Address       string            `json:"ip"`
}

// byConnector believes whom the app's API confirms, by the name that it has for them if
// it says one. Who shows nothing, and names nobody, is anonymous, and the API is not asked.
func (h *Handler) byConnector(ctx context.Context, v visit) (string, error) {
	c, err := v.claim()
	if err != nil {
		return "", err
	}
	if c.Identity == "" && c.Authorization == "" && len(c.Cookies) == 0 {
		return "", nil
	}
	if c.Origin != "" && !app.ListsOrigin(v.app.Origins, c.Origin) {
		// Its visitor's cookies may have come along without anybody's will.
		return "", fault.New(fault.Denied, "this page is none of the app's: its origin is not listed")
	}
	client, ok := h.c.Connector(v.app.Connector)
	if !ok {
		return "", connector.Unusable(fmt.Sprintf("app %s: there is no connector %q", v.app.ID, v.app.Connector))
	}
	r, yes, err := client.Confirm(ctx, c, connector.NewActor(v.addr, v.identity))
	switch {
	case err != nil:
		return "", err
	case !yes:
		return "", &fault.Error{Kind: fault.Denied, Msg: "the identity is not confirmed", Err: r.Err}
	}
	return identityOf(r, c.Identity)
}

// claim collects what the visitor shows.
func (v visit) claim() (claim, error) {
	c := claim{ClientID: v.app.ID, Identity: v.identity, Origin: v.header.Get("Origin"), Address: v.addr.String()}
	switch shown := v.header.Values("Authorization"); len(shown) {
	case 0:
	case 1:
		c.Authorization = shown[0]
	default:
		return c, fault.New(fault.Invalid, "the Authorization header is given twice")
	}
	r := http.Request{Header: v.header}
	for _, cookie := range r.Cookies() {
		if !slices.Contains(v.app.Cookies, cookie.Name) {
			continue
		}
		if _, twice := c.Cookies[cookie.Name]; twice {
			return c, fault.Newf(fault.Invalid, "the cookie %s is given twice", cookie.Name) // whose it is cannot be told
		}
		if c.Cookies == nil {
			c.Cookies = map[string]string{}
		}
		c.Cookies[cookie.Name] = cookie.Value
	}
	return c, nil
}

// identityOf is whom the API confirms: its own name for them, else the one that was asked
// about. One who has no name at all is nobody.
func identityOf(r connector.Result, asked string) (string, error) {
	object, _ := r.Response.(map[string]any)
	switch said := object["identity"].(type) {
	case nil:
	case string:
		asked = said
	case json.Number:
		asked = said.String()
	default:
		return "", connector.Unusable("the connector's mapping makes an identity that is neither text nor a number")
	}
	if asked == "" || !token.ValidSubject(asked) {
		return "", connector.Unusable("the API confirms somebody without a usable identity: map it to $.identity")
	}
	return asked, nil
}
