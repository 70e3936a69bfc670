package oauth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

const (
	maxBody  = 16 << 10
	formType = "application/x-www-form-urlencoded"
)

// params are a form's parameters. One that was sent without a value counts as
// one that was not sent (RFC 6749 §3.2).
type params map[string]string

// readForm refuses a form that names a parameter twice (RFC 6749 §3.2). The
// URL's query is no part of it: secrets do not belong there.
func readForm(w http.ResponseWriter, r *http.Request) (params, error) {
	if httpx.MediaType(r) != formType {
		return nil, fault.New(fault.Invalid, "the content type must be "+formType) // 400, and not 415 (RFC 6749 §5.2)
	}
	body, err := httpx.ReadBody(w, r, maxBody)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body is not a form")
	}
	p := make(params, len(form))
	for name, values := range form {
		if err := once(name, values); err != nil {
			return nil, err
		}
		p[name] = values[0]
	}
	return p, nil
}

// once refuses a parameter that is given twice. Of targets there may be several, but not
// here: a token has one audience (RFC 8693 §2.2.2, RFC 8707 §2).
func once(name string, values []string) error {
	switch {
	case len(values) < 2:
		return nil
	case name == "resource" || name == "audience":
		return fault.BadField(name, "may be given once")
	default:
		return fault.New(fault.Invalid, called(name)+" is given twice")
	}
}

// called is the name of a parameter, if it looks like one. People are not told what else
// another site may have sent in their name.
func called(name string) string {
	if len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "a parameter"
	}
	return name
}
