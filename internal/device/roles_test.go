package device

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/secret"
)

// roleAnswer is what the learner service says of somebody.
const roleAnswer = `{"id":"api.user.role.read.u-1","ver":"v1","params":{"status":"success","err":null},"responseCode":"OK",
"result":{"name":"Ann","roles":[{"role":"ORG_ADMIN","createdDate":"2021-08-18","updatedBy":null,
"scope":[{"organisationId":"0127738024883077121","orgName":"Org <1>"}]},{"role":"BOOK_CREATOR","scope":null}]}}`

func TestLearner(t *testing.T) {
	t.Parallel()
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		fmt.Fprint(w, roleAnswer)
	}))
	t.Cleanup(server.Close)
	l, err := NewLearner(LearnerConfig{URL: server.URL + "/learner/", Token: secret.FromString("learner-token")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Roles(t.Context(), "u/1?x")
	if err != nil {
		t.Fatal(err)
	}
	want := Profile{Name: "Ann", Roles: []Role{
		{"ORG_ADMIN", json.RawMessage(`[{"organisationId":"0127738024883077121","orgName":"Org \u003c1\u003e"}]`)},
		{"BOOK_CREATOR", json.RawMessage(`[]`)},
	}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("Roles() (-want +got):\n%s", diff)
	}
	if got.Method != http.MethodGet || got.RequestURI != "/learner/user/v1/role/read/u%2F1%3Fx" || got.Header.Get("Authorization") != "Bearer learner-token" {
		t.Errorf("asked %s %s with %v", got.Method, got.RequestURI, got.Header)
	}
}

func TestLearnerFails(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed, with the token")
	}))
	t.Cleanup(elsewhere.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"empty":     func(http.ResponseWriter, *http.Request) {},
		"a list":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(" ", learnerBody)+roleAnswer)
		},
		"no name":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":{"roles":[{"scope":[]}]}}`) },
		"many roles": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, manyRoles(learnerRoles+1)) },
		"hangs up":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			l, err := NewLearner(LearnerConfig{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			p, err := l.Roles(t.Context(), "user-1234")
			if err == nil || len(p.Roles) != 0 {
				t.Errorf("Roles() = %v, %v", p, err)
			}
			if err != nil && strings.Contains(err.Error(), "user-1234") {
				t.Errorf("the error names the user: %v", err)
			}
		})
	}
	l, err := NewLearner(LearnerConfig{URL: elsewhere.URL})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"", ".", ".."} {
		if _, err := l.Roles(t.Context(), user); err == nil {
			t.Errorf("asked for the user %q", user)
		}
	}
}

func manyRoles(n int) string {
	return `{"result":{"roles":[` + strings.TrimSuffix(strings.Repeat(`{"role":"R","scope":[]},`, n), ",") + `]}}`
}

func TestNewLearnerRefuses(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "learner", "/learner", "ftp://learner", "http://", "http://a:b@learner", "http://learner?x=1", "http://learner#x", "http://%zz"} {
		if _, err := NewLearner(LearnerConfig{URL: u}); err == nil {
			t.Errorf("NewLearner() takes %q", u)
		}
	}
}

// FuzzParseProfile: what is taken fits the claims of a token.
func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(roleAnswer))
	f.Add([]byte(`{"result":{"roles":[{"role":"A","scope":[1]}]}}`))
	f.Add([]byte(manyRoles(3)))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parseProfile(body)
		if err != nil {
			return
		}
		whole := p.withPublic()
		if n := len(whole.Roles); n < 1 || n > learnerRoles+1 || (n == 1 && whole.Name != "") {
			t.Errorf("%d roles, name %q", n, whole.Name)
		}
		if _, err := json.Marshal(whole.Roles); err != nil {
			t.Errorf("%q cannot be a claim: %v", body, err)
		}
	})
}
