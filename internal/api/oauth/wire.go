package oauth

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/token"
)

// answer is RFC 6749 §5.1's.
type answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	IDToken      string `json:"id_token,omitempty"` // OpenID Connect Core §3.1.3.3

	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693 §2.2.1
}

func answerOf(p token.Pair) answer {
	return answer{
		AccessToken: p.Token, TokenType: "Bearer", ExpiresIn: int64(p.ExpiresIn.Seconds()),
		RefreshToken: string(p.Refresh.Reveal()), Scope: p.Scope,
	}
}

func writeAnswer(w http.ResponseWriter, a answer) {
	noStore(w)
	httpx.WriteJSON(w, http.StatusOK, a)
}

// failure is RFC 6749 §5.2's.
type failure struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	status      int
	challenge   bool // ask for Basic
	cause       error
}

// The refusals that have no fault.Kind of their own.
var (
	errClient       = fault.New(fault.Unauthenticated, "client authentication failed")
	errGrantType    = fault.BadField("grant_type", "must be one of those in this server's metadata")
	errUnauthorized = fault.BadField("grant_type", "is not one that this app may use")
)

// loginError is what /login says of err: the one who is not proven is the person.
func loginError(err error) failure {
	if errors.Is(err, errClient) {
		return failure{Code: "invalid_client", Description: errClient.Msg, status: http.StatusUnauthorized, cause: err}
	}
	f := common(err)
	if f.status == http.StatusUnauthorized {
		f.Code = "invalid_grant"
	}
	return f
}

// tokenError is what the token endpoint says of err: the one who is not proven is
// the client, but for a refresh token that is not good.
func tokenError(r *http.Request, err error) failure {
	switch {
	case errors.Is(err, errGrantType):
		return failure{Code: "unsupported_grant_type", Description: describe(fault.Public(err)), status: http.StatusBadRequest, cause: err}
	case errors.Is(err, errUnauthorized):
		return failure{Code: "unauthorized_client", Description: describe(fault.Public(err)), status: http.StatusBadRequest, cause: err}
	case errors.Is(err, token.ErrGrant):
		return failure{Code: "invalid_grant", Description: fault.Public(err).Msg, status: http.StatusBadRequest, cause: err}
	}
	f := common(err)
	if f.status == http.StatusUnauthorized {
		f.Code, f.challenge = "invalid_client", basicChallenge(r)
	}
	return f
}

// common turns a fault into OAuth's code; the status is the fault's own.
func common(err error) failure {
	public := fault.Public(err)
	f := failure{Code: "invalid_request", Description: describe(public), status: public.Kind.Status(), cause: err}
	switch {
	case public.Kind == fault.Internal:
		f.Code = "server_error"
	case public.Kind == fault.Limited || public.Kind == fault.Unavailable:
		f.Code = "temporarily_unavailable"
	case public.Field == "scope":
		f.Code = "invalid_scope"
	case public.Field == "resource" || public.Field == "audience":
		f.Code = "invalid_target" // RFC 8693 §2.2.2, RFC 8707 §2
	case public.Kind == fault.Denied:
		f.Code = "access_denied"
	}
	return f
}

// describe writes for people, in the characters that RFC 6749 §5.2 allows.
func describe(e fault.Error) string {
	text := e.Msg
	if e.Field != "" {
		text = e.Field + " " + text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < 0x20 || r > 0x7e:
			return '?'
		default:
			return r
		}
	}, text)
}

func writeError(w http.ResponseWriter, r *http.Request, f failure) {
	level := slog.LevelInfo
	switch {
	case f.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case f.status == http.StatusTooManyRequests: // a flood must not flood the log
		level = slog.LevelDebug
	}
	httpx.LogFrom(r.Context()).LogAttrs(r.Context(), level, "token refused",
		slog.String("path", r.URL.Path), slog.String("code", f.Code), slog.Any("err", f.cause))
	noStore(w)
	if after := fault.Public(f.cause).RetryAfter; after > 0 {
		w.Header().Set("Retry-After", httpx.RetryAfter(after))
	}
	if f.challenge {
		w.Header().Set("WWW-Authenticate", `Basic realm="carnet", charset="UTF-8"`)
	}
	httpx.WriteJSON(w, f.status, f)
}

// noStore keeps tokens out of every cache (RFC 6749 §5.1).
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}
