package authprofile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

const (
	maxAnswer   = 48 << 10    // bytes of a token answer: what is sealed of it fits a box
	connectTime = time.Second // for the connection, and again for TLS
)

// What a provider says besides yes. An error that is none of them is temporary.
var (
	errRefused       = errors.New("the provider refuses the user")
	errMisconfigured = errors.New("the provider refuses the client, or what it is asked")
	errAnswer        = errors.New("the provider's answer cannot be used")
)

// provider calls the endpoints of one profile. Its errors have nothing in them of what
// was sent or answered.
type provider struct {
	*Profile
	secrets resolver
	clock   func() time.Time
	http    map[string]*http.Client // by host
}

func newProvider(p *Profile, guard egress.Guard, c Config) *provider {
	v := &provider{Profile: p, secrets: c.Secrets, clock: c.Clock, http: map[string]*http.Client{}}
	for _, text := range []string{p.Token, p.UserInfo} {
		if u, err := url.Parse(text); err == nil && text != "" && v.http[u.Host] == nil {
			v.http[u.Host] = egress.New(egress.Config{Host: u.Hostname(), Guard: guard, Connect: connectTime, Roots: c.Roots})
		}
	}
	return v
}

// Revision changes with the document, and with the version of the client's secret.
func (v *provider) Revision() string {
	if v.Secret == "" {
		return v.Profile.Revision()
	}
	return fmt.Sprintf("%s %q", v.Profile.Revision(), v.secrets.Version(v.Secret))
}

func (v *provider) close() {
	for _, c := range v.http {
		c.CloseIdleConnections()
	}
}

// exchange makes tokens of a code (RFC 6749 section 4.1.3).
func (v *provider) exchange(ctx context.Context, code, redirect string, p pending) (tokens, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}}
	if p.Verifier != "" {
		form.Set("code_verifier", p.Verifier)
	}
	a, err := v.ask(ctx, form)
	if err != nil {
		return tokens{}, err
	}
	if v.openID() && !v.fits(a.IDToken, p.Nonce) {
		return tokens{}, errAnswer
	}
	return a.tokens(v.clock(), secret.Bytes{}), nil
}

// renew makes new tokens of a refresh token, which stays if there is no newer one
// (RFC 6749 section 6).
func (v *provider) renew(ctx context.Context, t tokens) (tokens, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(t.refresh.Reveal())}}
	a, err := v.ask(ctx, form)
	if err != nil {
		return tokens{}, err
	}
	fresh := a.tokens(v.clock(), t.refresh)
	fresh.ends = t.ends
	return fresh, nil
}

// fits tells whether an ID token is the answer to this sign-in. It came from the token
// endpoint itself, so that its signature adds nothing (OpenID Connect Core section 3.1.3.7).
func (v *provider) fits(idToken, nonce string) bool {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return false
	}
	payload, ok := jose.Decode(parts[1])
	var claims struct {
		Issuer   string          `json:"iss"`
		Audience json.RawMessage `json:"aud"`
		Nonce    string          `json:"nonce"`
	}
	if !ok || json.Unmarshal(payload, &claims) != nil || claims.Nonce != nonce || v.Issuer != "" && claims.Issuer != v.Issuer {
		return false
	}
	var one string
	var many []string
	if json.Unmarshal(claims.Audience, &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(claims.Audience, &many) != nil {
		return false
	}
	return len(many) == 1 && many[0] == v.Client
}

// answer is what the token endpoint says (RFC 6749 section 5).
type answer struct {
	Access  string          `json:"access_token"`
	Type    string          `json:"token_type"`
	Expires json.RawMessage `json:"expires_in"` // seconds; some write a string
	Refresh string          `json:"refresh_token"`
	IDToken string          `json:"id_token"`
	Error   string          `json:"error"`
}

// maxExpires bounds what a provider says of its tokens.
const maxExpires = 10 * 365 * 24 * 3600

func (a answer) tokens(now time.Time, refresh secret.Bytes) tokens {
	t := tokens{access: secret.FromString(a.Access), refresh: refresh}
	if a.Refresh != "" {
		t.refresh = secret.FromString(a.Refresh)
	}
	if n, err := strconv.Atoi(strings.Trim(string(a.Expires), `"`)); err == nil && n >= 0 {
		t.expires = now.Add(time.Duration(min(n, maxExpires)) * time.Second)
	}
	return t
}

// ask posts a form to the token endpoint, as the client.
func (v *provider) ask(ctx context.Context, form url.Values) (answer, error) {
	id, password, err := v.credentials(ctx)
	if err != nil {
		return answer{}, err
	}
	if v.Post || password == "" {
		form.Set("client_id", id)
		if password != "" {
			form.Set("client_secret", password)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, errMisconfigured
	}
	req.GetBody = nil // codes and refresh tokens are for one use: nothing is sent again
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !v.Post && password != "" {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(password)) // RFC 6749 section 2.3.1
	}
	status, body, err := v.send(req)
	if err != nil {
		return answer{}, err
	}
	return readAnswer(status, body)
}

func readAnswer(status int, body []byte) (answer, error) {
	var a answer
	parsed := json.Unmarshal(body, &a) == nil
	switch {
	case status == http.StatusOK:
		if !parsed || a.Access == "" || !strings.EqualFold(a.Type, "Bearer") || !isToken(a.Access) || !isToken(a.Refresh) {
			return answer{}, errAnswer
		}
		return a, nil
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status/100 == 5:
		return answer{}, errAnswer
	case status == http.StatusBadRequest && a.Error == "invalid_grant":
		return answer{}, errRefused
	}
	return answer{}, errMisconfigured
}

// isToken tells whether s can stand in a header: printable ASCII (RFC 6749 appendix A.12).
func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// credentials are the client's own. A secretdoc has the secret in its member secret.
func (v *provider) credentials(ctx context.Context) (id, password string, err error) {
	if v.Secret == "" {
		return v.Client, "", nil
	}
	value, err := v.secrets.Resolve(ctx, v.Secret)
	if err != nil {
		return "", "", errMisconfigured
	}
	var doc struct {
		Secret string `json:"secret"`
	}
	if json.Unmarshal(value.Reveal(), &doc) != nil || doc.Secret == "" {
		return "", "", errMisconfigured
	}
	return v.Client, doc.Secret, nil
}

// inform asks the provider whose token it is, and so whether it still counts.
func (v *provider) inform(ctx context.Context, t tokens) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.UserInfo, nil)
	if err != nil {
		return errMisconfigured
	}
	req.Header.Set("Authorization", "Bearer "+string(t.access.Reveal()))
	switch status, _, err := v.send(req); {
	case err != nil:
		return err
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errRefused
	case status/100 == 3 || status/100 == 4 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		return errMisconfigured
	}
	return errAnswer
}

// send makes one exchange. The body is whole, or there is an error.
func (v *provider) send(req *http.Request) (status int, body []byte, err error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Carnet")
	client := v.http[req.URL.Host]
	if client == nil {
		return 0, nil, errMisconfigured
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, calling(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or is of no use
	if body, err = io.ReadAll(egress.Limit(resp.Body, maxAnswer)); err != nil {
		return 0, nil, calling(err)
	}
	return resp.StatusCode, body, nil
}

// calling is why a call had no answer, without the address, in which there may be more
// than should be shown.
func calling(err error) error {
	if refused, ok := errors.AsType[*egress.RefusedError](err); ok {
		return errors.Join(errMisconfigured, refused)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return errAnswer
}
