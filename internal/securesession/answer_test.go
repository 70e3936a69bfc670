package securesession

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/connector"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	p := &Policy{Success: []int{200, 204}}
	for status, want := range map[int]Class{
		0: Failure, 100: Failure, 101: Failure,
		200: Yes, 204: Yes, 201: Failure, 202: Failure, 206: Failure, 299: Failure,
		300: Misconfigured, 301: Misconfigured, 302: Misconfigured, 304: Misconfigured, 307: Misconfigured, 308: Misconfigured,
		400: No, 401: No, 402: No, 403: No, 404: No, 409: No, 410: No, 422: No, 451: No, 499: No,
		408: Failure, 425: Failure, 429: Failure,
		500: Failure, 501: Failure, 502: Failure, 503: Failure, 504: Failure, 599: Failure, 600: Failure, 999: Failure,
	} {
		for _, code := range []string{"", "http_error"} {
			if code != "" && want == Yes {
				continue
			}
			if got := p.classify(response{status, code}); got != want {
				t.Errorf("status %d, code %q: class %d, want %d", status, code, got, want)
			}
		}
	}
}

func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	p := &Policy{Success: []int{200}}
	for name, tc := range map[string]struct {
		response
		want Class
	}{
		"timeout":                         {response{0, "timeout"}, Failure},
		"no such host":                    {response{0, "dns_error"}, Failure},
		"no connection":                   {response{0, "connect_error"}, Failure},
		"no trust":                        {response{0, "tls_error"}, Failure},
		"an address that is not allowed":  {response{0, "ssrf_blocked"}, Misconfigured},
		"no request to be made":           {response{0, "mapping_error"}, Misconfigured},
		"no secret":                       {response{0, "secret_error"}, Misconfigured},
		"a redirect":                      {response{302, "redirect_refused"}, Misconfigured},
		"a restricted actor":              {response{0, "restricted"}, Barred},
		"an open breaker":                 {response{0, "breaker_open"}, Open},
		"a yes that is too large":         {response{200, "response_too_large"}, Failure},
		"a yes that is no JSON":           {response{200, "response_invalid"}, Failure},
		"a yes that does not end":         {response{200, "timeout"}, Failure},
		"a yes of which something is odd": {response{200, "news"}, Failure},
		"a no that is too large":          {response{401, "response_too_large"}, No},
		"a no that does not end":          {response{403, "timeout"}, No},
		"a no of which something is odd":  {response{404, "news"}, No},
	} {
		if got := p.classify(tc.response); got != tc.want {
			t.Errorf("%s: class %d, want %d", name, got, tc.want)
		}
	}
}

func TestBaasAnswer(t *testing.T) {
	t.Parallel()
	b := &baas{policy: &Policy{Success: []int{200}}}
	mapped := func(status int, response, headers any) connector.Result {
		return connector.Result{Status: status, Response: response, Headers: headers, MaxAge: connector.NoMaxAge}
	}
	failed := func(status int, code connector.Code, after time.Duration) connector.Result {
		return connector.Result{
			Status: status, MaxAge: connector.NoMaxAge,
			Err: &connector.Error{Code: code, Message: "the API at https://bank.test answers", RetryAfter: after},
		}
	}
	unusable := Answer{Class: Misconfigured, Detail: "mapping_error"}
	for name, tc := range map[string]struct {
		result connector.Result
		want   Answer
	}{
		"yes":             {mapped(200, nil, nil), Answer{Class: Yes, Detail: "2xx"}},
		"yes for a while": {connector.Result{Status: 200, MaxAge: time.Minute}, Answer{Class: Yes, Detail: "2xx", Bounded: true, MaxAge: time.Minute}},
		"yes for once":    {connector.Result{Status: 200}, Answer{Class: Yes, Detail: "2xx", Bounded: true}},
		"output": {
			mapped(200, map[string]any{"name": "Ann", "limit": json.Number("9007199254740993")}, nil),
			Answer{Class: Yes, Detail: "2xx", Output: json.RawMessage(`{"limit":9007199254740993,"name":"Ann"}`)},
		},
		"headers": {
			mapped(200, nil, map[string]any{"tier": "gold"}),
			Answer{Class: Yes, Detail: "2xx", Output: json.RawMessage(`{"headers":{"tier":"gold"}}`)},
		},
		"output that is no object":    {mapped(200, "gold", nil), unusable},
		"output that writes state":    {mapped(200, map[string]any{"state": 1}, nil), unusable},
		"no, whatever was mapped":     {mapped(204, map[string]any{"name": "Ann"}, nil), Answer{Class: Failure, Detail: "2xx"}},
		"no":                          {failed(401, connector.HTTPError, 0), Answer{Class: No, Detail: "4xx"}},
		"later":                       {failed(503, connector.HTTPError, time.Second), Answer{Class: Failure, Detail: "5xx", RetryAfter: time.Second}},
		"much later":                  {failed(429, connector.HTTPError, time.Hour), Answer{Class: Failure, Detail: "4xx", RetryAfter: time.Minute}},
		"nobody there":                {failed(0, connector.ConnectError, 0), Answer{Class: Failure, Detail: "connect_error"}},
		"shut out":                    {failed(0, connector.Restricted, time.Second), Answer{Class: Barred, Detail: "restricted", RetryAfter: time.Second}},
		"shut out for long":           {failed(0, connector.Restricted, time.Hour), Answer{Class: Barred, Detail: "restricted", RetryAfter: time.Hour}},
		"nobody asks for now":         {failed(0, connector.BreakerOpen, time.Second), Answer{Class: Open, Detail: "breaker_open", RetryAfter: time.Second}},
		"what a yes lacks is no yes":  {failed(200, connector.ResponseInvalid, 0), Answer{Class: Failure, Detail: "response_invalid"}},
		"a redirect is no yes either": {failed(302, connector.RedirectRefused, 0), Answer{Class: Misconfigured, Detail: "redirect_refused"}},
	} {
		if diff := cmp.Diff(tc.want, b.answer(tc.result)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
