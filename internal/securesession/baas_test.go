package securesession

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/secret"
)

// bank is an Authorization API: who shows the token "good" may go on.
func bank(t *testing.T, timeout time.Duration, h http.HandlerFunc) Authorizer {
	t.Helper()
	api := httptest.NewServer(h)
	t.Cleanup(api.Close)
	c, _, err := connector.Parse(fmt.Appendf(nil, `{
		"Alias": "ask-bank", "Type": "api-connector", "Method": "POST", "Endpoint": %q, "Body": {},
		"RequestMapping": {"tokenToVerify": {"type": "requestBody", "requestBodyPath": "$.token", "inputPath": "$.secureTokenForUser"}},
		"ResponseMapping": {"name": {"type": "responseBody", "responseBodyPath": "$.name", "outputPath": "$.customer.name", "required": true}}
	}`, api.URL), connector.Options{Organization: "acme", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	loopback := egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	client, err := connector.NewClient(c, connector.Config{Guard: loopback})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return NewBaas(&Policy{Success: []int{200}, Timeout: timeout}, client)
}

func TestBaas(t *testing.T) {
	t.Parallel()
	api := func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Token string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		switch asked.Token {
		case "good":
			w.Header().Set("Cache-Control", "max-age=7")
			_, _ = io.WriteString(w, `{"name":"Ann"}`)
		case "nameless":
			_, _ = io.WriteString(w, `{}`)
		case "moved":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "slow":
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	patient, hasty := bank(t, time.Minute, api), bank(t, 300*time.Millisecond, api)
	for token, want := range map[string]Answer{
		"good": {
			Class: Yes, Detail: "2xx", Bounded: true, MaxAge: 7 * time.Second,
			Output: json.RawMessage(`{"customer":{"name":"Ann"}}`),
		},
		"bad":      {Class: No, Detail: "4xx"},
		"nameless": {Class: Failure, Detail: "invalid"},
		"moved":    {Class: Misconfigured, Detail: "redirect"},
		"slow":     {Class: Failure, Detail: "timeout"},
	} {
		a := patient
		if token == "slow" {
			a = hasty
		}
		got := a.Check(t.Context(), Key{}, Subject{Context: json.RawMessage(`{"secureTokenForUser":"` + token + `"}`)})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", token, diff)
		}
	}
	if got := patient.Check(t.Context(), Key{}, Subject{Context: json.RawMessage(`[]`)}); got.Class != Misconfigured {
		t.Errorf("no object: %+v", got)
	}
}

// A policy may wait longer than connectors do by themselves.
func TestBaasTimeout(t *testing.T) {
	t.Parallel()
	a := bank(t, 20*time.Second, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(3200 * time.Millisecond):
			_, _ = io.WriteString(w, `{"name":"Ann"}`)
		}
	})
	if got := a.Check(t.Context(), Key{}, Subject{Context: json.RawMessage(`{"secureTokenForUser":"good"}`)}); got.Class != Yes {
		t.Errorf("Check() = %+v", got)
	}
}

// What cannot be mapped must not pass for what is not there: a yes for the one says
// nothing of the other.
func TestBaasReadsTheUnmappable(t *testing.T) {
	t.Parallel()
	c, _, err := connector.Parse([]byte(`{
		"Alias": "ask-bank", "Method": "POST", "Endpoint": "https://bank.example",
		"RequestMapping": {"u": {"type": "requestBody", "requestBodyPath": "$.u", "inputPath": "$.users.*", "select": "one", "optional": true}}
	}`), connector.Options{Organization: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := connector.NewClient(c, connector.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a, key := NewBaas(&Policy{}, client), secret.FromString("k")
	none, missing := a.Read(json.RawMessage(`{}`))
	many, lacking := a.Read(json.RawMessage(`{"users":[1,2]}`))
	if missing || lacking || fingerprint(key, "ann", none) == fingerprint(key, "ann", many) {
		t.Errorf("none: %q, missing %t; many: %q, missing %t", none, missing, many, lacking)
	}
}

func TestBaasReads(t *testing.T) {
	t.Parallel()
	a := bank(t, time.Second, func(http.ResponseWriter, *http.Request) {})
	if a.Revision() == "" {
		t.Error("no revision")
	}
	for object, want := range map[string]struct {
		in      Inputs
		missing bool
	}{
		`{"secureTokenForUser":"x","other":1}`:    {Inputs{"tokenToVerify": json.RawMessage(`"x"`)}, false},
		`{"secureTokenForUser":9007199254740993}`: {Inputs{"tokenToVerify": json.RawMessage(`9007199254740993`)}, false},
		`{"secureTokenForUser":null}`:             {Inputs{"tokenToVerify": json.RawMessage(`null`)}, true},
		`{}`:                                      {Inputs{"tokenToVerify": nil}, true},
		`{"secureTokenForUser":"good","secureTokenForUser":"other"}`: {nil, true},
		``: {nil, true},
	} {
		in, missing := a.Read(json.RawMessage(object))
		if diff := cmp.Diff(want.in, in); diff != "" || missing != want.missing {
			t.Errorf("%s: missing %t, %s", object, missing, diff)
		}
	}
}
