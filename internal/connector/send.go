package connector

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/trace"
)

// secrets finds what documents name.
type secrets interface {
	// Resolve answers a text, or the JSON of a whole secretdoc.
	Resolve(ctx context.Context, ref string) (secret.Bytes, error)
	// Refresh tells whether there is a newer value than the one that was used in vain,
	// which Resolve then answers.
	Refresh(ctx context.Context, ref string, used secret.Bytes) (newer bool, err error)
	Certificate(ctx context.Context, ref string) (tls.Certificate, error)
	// Version is that of what was last found, without asking anybody; empty if nothing was.
	Version(ref string) string
}

// values are the secrets of one call.
type values map[ref]secret.Bytes

// resolve finds what a call of c needs, but for the certificate, which connections need.
func (c *Client) resolve(ctx context.Context) (values, *Error) {
	v := values{}
	for _, r := range c.secrets {
		if r == c.certificate {
			continue
		}
		value, err := c.cfg.Secrets.Resolve(ctx, string(r))
		if err != nil {
			return nil, &Error{Code: SecretError, Message: string(r) + " cannot be had", Temporary: true}
		}
		v[r] = value
	}
	c.note()
	return v, nil
}

// renewed tells whether one of the values is not the latest any more.
func (c *Client) renewed(ctx context.Context, v values) bool {
	found := false
	for r, used := range v {
		newer, err := c.cfg.Secrets.Refresh(ctx, string(r), used)
		found = found || err == nil && newer
	}
	return found
}

func secretError(msg string) *Error { return &Error{Code: SecretError, Message: msg} }

// header is text that can stand in a header.
func (v values) header(r ref) (string, error) {
	s := string(v[r].Reveal())
	if s == "" || !isFieldValue(s) {
		return "", secretError(string(r) + " cannot be the value of a header")
	}
	return s, nil
}

// basic is the credentials of RFC 7617 that a secretdoc has, under either of two names.
func (v values) basic(r ref) (string, error) {
	var doc struct{ Username, Password, ID, Token string }
	if err := json.Unmarshal(v[r].Reveal(), &doc); err != nil {
		return "", secretError(string(r) + " is no object of strings")
	}
	user, password := doc.Username, doc.Password
	if user == "" {
		user, password = doc.ID, doc.Token
	}
	if user == "" || password == "" || strings.Contains(user, ":") {
		return "", secretError(string(r) + " must have username (without a colon) and password, or id and token")
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
}

// build makes the HTTP request, with the secrets in it.
func (r *Request) build(ctx context.Context, v values) (*http.Request, error) {
	body, err := r.encodeBody(func(n named) (string, error) {
		switch n := n.(type) {
		case ref:
			return string(v[n].Reveal()), nil
		case file:
			return r.files[n], nil
		}
		return "", nil
	})
	if err != nil {
		return nil, err
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, reader)
	if err != nil {
		return nil, &Error{Code: MappingError, Message: "the request is no HTTP request"}
	}
	req.Header = r.httpHeader()
	req.GetBody = nil // what may have been sent is not sent again: it may have a token for one use
	for _, f := range r.header {
		if f.secret == "" {
			continue
		}
		value, err := v.header(f.secret)
		if err != nil {
			return nil, err
		}
		req.Header[f.Name] = []string{value}
	}
	if r.basic != "" {
		value, err := v.basic(r.basic)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", value)
	}
	trace.Inject(ctx, req.Header)
	return req, nil
}

// bodyOf is an answer's body without a mapping: JSON, or text.
func bodyOf(data []byte) (any, error) {
	if len(data) == 0 {
		return nil, nil //nolint:nilnil // no body is no value
	}
	if v, err := decode(data); err == nil {
		return v, nil
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the answer is neither JSON nor text")
	}
	return string(data), nil
}
