package sts

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/secret"
)

const maxBody = 16 << 10

// request is what a page asks for. An empty member is one that was not given:
// Kore's SDK always sends them all.
type request struct {
	clientID     app.ID
	clientSecret secret.Bytes
	identity     string
	anonymous    bool
	audience     string
}

// body is the request as JSON. Members that are not here are ignored.
type body struct {
	ClientID      string          `json:"clientId"`
	ClientID2     string          `json:"client_id"`
	ClientSecret  string          `json:"clientSecret"`
	ClientSecret2 string          `json:"client_secret"`
	Identity      string          `json:"identity"`
	IsAnonymous   json.RawMessage `json:"isAnonymous"`
	Audience      string          `json:"aud"`
}

// read takes a form or JSON, with Kore's names or OAuth's.
func read(w http.ResponseWriter, r *http.Request) (request, error) {
	text, err := httpx.ReadBody(w, r, maxBody)
	if err != nil {
		return request{}, err
	}
	var b body
	switch httpx.MediaType(r) {
	case "application/json":
		err = httpx.DecodeJSON(text, &b)
	case "application/x-www-form-urlencoded":
		b, err = parseForm(string(text))
	default:
		err = fault.New(fault.UnsupportedMedia, "the content type must be application/x-www-form-urlencoded or application/json")
	}
	if err != nil {
		return request{}, err
	}
	return b.request()
}

func parseForm(text string) (body, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return body{}, fault.New(fault.Invalid, "the body is not a form")
	}
	for name, values := range form {
		if len(values) > 1 {
			return body{}, fault.BadField(name, "is given twice")
		}
	}
	return body{
		ClientID: form.Get("clientId"), ClientID2: form.Get("client_id"),
		ClientSecret: form.Get("clientSecret"), ClientSecret2: form.Get("client_secret"),
		Identity: form.Get("identity"), Audience: form.Get("aud"),
		IsAnonymous: json.RawMessage(form.Get("isAnonymous")),
	}, nil
}

func (b body) request() (request, error) {
	id, ok := either(b.ClientID, b.ClientID2)
	if !ok {
		return request{}, fault.BadField("clientId", "and client_id are both given, and differ")
	}
	s, ok := either(b.ClientSecret, b.ClientSecret2)
	if !ok {
		return request{}, fault.BadField("clientSecret", "and client_secret are both given, and differ")
	}
	anonymous := false
	switch string(b.IsAnonymous) {
	case "", `""`, "null", "false", `"false"`:
	case "true", `"true"`:
		anonymous = true
	default:
		return request{}, fault.BadField("isAnonymous", "must be true or false")
	}
	return request{
		clientID: app.ID(id), clientSecret: secret.FromString(s),
		identity: b.Identity, anonymous: anonymous, audience: b.Audience,
	}, nil
}

// either is the one of two spellings that is given.
func either(a, b string) (string, bool) {
	if a == "" || a == b {
		return b, true
	}
	return a, b == ""
}
