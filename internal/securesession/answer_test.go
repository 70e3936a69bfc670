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
		for _, err := range []*connector.Error{nil, {Code: connector.HTTPError}} {
			if err != nil && want == Yes {
				continue
			}
			if got := p.classify(connector.Result{Status: status, Err: err}); got != want {
				t.Errorf("status %d, %v: class %d, want %d", status, err, got, want)
			}
		}
	}
}

func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	p := &Policy{Success: []int{200}}
	for name, tc := range map[string]struct {
		status int
		code   connector.Code
		want   Class
	}{
		"timeout":                         {0, connector.Timeout, Failure},
		"no such host":                    {0, connector.DNSError, Failure},
		"no connection":                   {0, connector.ConnectError, Failure},
		"no trust":                        {0, connector.TLSError, Failure},
		"an address that is not allowed":  {0, connector.SSRFBlocked, Misconfigured},
		"no request to be made":           {0, connector.MappingError, Misconfigured},
		"no secret":                       {0, connector.SecretError, Misconfigured},
		"a redirect":                      {302, connector.RedirectRefused, Misconfigured},
		"a restricted actor":              {0, connector.Restricted, Barred},
		"an open breaker":                 {0, connector.BreakerOpen, Open},
		"a yes that is too large":         {200, connector.ResponseTooLarge, Failure},
		"a yes that is no JSON":           {200, connector.ResponseInvalid, Failure},
		"a yes that does not end":         {200, connector.Timeout, Failure},
		"a yes of which something is odd": {200, "news", Failure},
		"a no that is too large":          {401, connector.ResponseTooLarge, No},
		"a no that does not end":          {403, connector.Timeout, No},
		"a no of which something is odd":  {404, "news", No},
	} {
		if got := p.classify(connector.Result{Status: tc.status, Err: &connector.Error{Code: tc.code}}); got != tc.want {
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
	unusable := Answer{Class: Misconfigured, Detail: "mapping"}
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
		"output takes no more room than it has": {
			mapped(200, map[string]any{"html": "<&>"}, nil),
			Answer{Class: Yes, Detail: "2xx", Output: json.RawMessage(`{"html":"<&>"}`)},
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
		"nobody there":                {failed(0, connector.ConnectError, 0), Answer{Class: Failure, Detail: "connect"}},
		"shut out":                    {failed(0, connector.Restricted, time.Second), Answer{Class: Barred, Detail: "restricted", RetryAfter: time.Second}},
		"shut out for long":           {failed(0, connector.Restricted, time.Hour), Answer{Class: Barred, Detail: "restricted", RetryAfter: time.Hour}},
		"nobody asks for now":         {failed(0, connector.BreakerOpen, time.Second), Answer{Class: Open, Detail: "breaker", RetryAfter: time.Second}},
		"what a yes lacks is no yes":  {failed(200, connector.ResponseInvalid, 0), Answer{Class: Failure, Detail: "invalid"}},
		"a redirect is no yes either": {failed(302, connector.RedirectRefused, 0), Answer{Class: Misconfigured, Detail: "redirect"}},
	} {
		if diff := cmp.Diff(tc.want, b.answer(tc.result)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
