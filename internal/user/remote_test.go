package user

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// staff is a directory over HTTP. It answers what it is told to those who know the
// password, and 401 to others.
type staff struct {
	status int
	answer string
	asked  atomic.Value // string
	calls  atomic.Int32
}

func (s *staff) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.asked.Store(string(body))
	s.calls.Add(1)
	var in struct{ Password, Subject string }
	_ = json.Unmarshal(body, &in)
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
	case in.Password != "correct horse" && in.Subject != "17":
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, _ = io.WriteString(w, s.answer)
}

const (
	signIn = `"RequestMapping":{
		"u":{"type":"requestBody","inputPath":"$.username","requestBodyPath":"$.login"},
		"p":{"type":"requestBody","inputPath":"$.password","requestBodyPath":"$.password"},
		"i":{"type":"requestBody","inputPath":"$.ip","requestBodyPath":"$.ip"}},
	"ResponseMapping":{
		"s":{"type":"responseBody","responseBodyPath":"$.id","outputPath":"$.subject"},
		"n":{"type":"responseBody","responseBodyPath":"$.display","outputPath":"$.name"},
		"r":{"type":"responseBody","responseBodyPath":"$.roles","outputPath":"$.scopes"}}`
	goOn = `"RequestMapping":{"s":{"type":"requestBody","inputPath":"$.subject","requestBodyPath":"$.subject"}}`
)

// dial makes a client of an API.
func dial(t *testing.T, api http.Handler, members string) func() (*connector.Client, bool) {
	t.Helper()
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	doc := `{"Alias":"staff","Method":"POST","Endpoint":"` + s.URL + `","Body":{},"TimeoutMs":2000,` + members + `}`
	c, _, err := connector.Parse([]byte(doc), connector.Options{Organization: "default", Strict: true, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	client, err := connector.NewClient(c, connector.Config{Guard: egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return func() (*connector.Client, bool) { return client, true }
}

var remoteAddr = netip.MustParseAddr("192.0.2.7")

func TestRemote(t *testing.T) {
	t.Parallel()
	const password = "correct horse"
	for name, tc := range map[string]struct {
		status   int
		answer   string
		username string // Ann by default
		password string // the right one by default
		want     User
		kind     fault.Kind // of the refusal
		calls    int32
	}{
		"all":             {answer: `{"id":"17","display":"Ann","roles":["chat","orders"]}`, want: User{ID: "ext_17", Name: "Ann", Scopes: []string{"chat", "orders"}}, calls: 1},
		"number":          {answer: `{"id":9007199254740993}`, want: User{ID: "ext_9007199254740993", Scopes: []string{"chat"}}, calls: 1},
		"scopes in text":  {answer: `{"id":"17","roles":"a b"}`, want: User{ID: "ext_17", Scopes: []string{"a", "b"}}, calls: 1},
		"no scopes":       {answer: `{"id":"17","roles":[]}`, want: User{ID: "ext_17"}, calls: 1},
		"a user of ours":  {answer: `{"id":"usr_abcdefghijklmnop"}`, want: User{ID: "ext_usr_abcdefghijklmnop", Scopes: []string{"chat"}}, calls: 1},
		"wrong password":  {answer: `{"id":"17"}`, password: "wrong horse", kind: fault.Unauthenticated, calls: 1},
		"nobody":          {status: 404, kind: fault.Unauthenticated, calls: 1},
		"locked":          {status: 423, kind: fault.Unauthenticated, calls: 1},
		"busy":            {status: 429, kind: fault.Unavailable, calls: 1},
		"broken":          {status: 500, kind: fault.Unavailable, calls: 1},
		"created":         {status: 201, answer: `{"id":"17"}`, kind: fault.Unavailable, calls: 1},
		"not JSON":        {answer: `welcome`, kind: fault.Unavailable, calls: 1},
		"no subject":      {answer: `{"display":"Ann"}`, kind: fault.Unavailable, calls: 1},
		"empty subject":   {answer: `{"id":""}`, kind: fault.Unavailable, calls: 1},
		"line end":        {answer: `{"id":"1\n7"}`, kind: fault.Unavailable, calls: 1},
		"long subject":    {answer: `{"id":"` + strings.Repeat("x", 201) + `"}`, kind: fault.Unavailable, calls: 1},
		"odd scopes":      {answer: `{"id":"17","roles":{"chat":true}}`, kind: fault.Unavailable, calls: 1},
		"blank in scope":  {answer: `{"id":"17","roles":["a b"]}`, kind: fault.Unavailable, calls: 1},
		"number as scope": {answer: `{"id":"17","roles":[true]}`, kind: fault.Unavailable, calls: 1},
		"long name":       {username: strings.Repeat("x", 257), kind: fault.Unauthenticated},
		"broken name":     {username: "a\xff", kind: fault.Unauthenticated},
		"zero in name":    {username: "a\x00", kind: fault.Unauthenticated},
		"long password":   {password: strings.Repeat("x", 1025), kind: fault.Unauthenticated},
		"broken password": {password: "\xff\xff\xff\xff\xff\xff\xff\xff", kind: fault.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &staff{status: tc.status, answer: tc.answer}
			d := NewRemote(RemoteConfig{SignIn: dial(t, api, signIn), Scopes: []string{"chat"}})
			username, given := tc.username, tc.password
			if username == "" {
				username = "Ann"
			}
			if given == "" {
				given = password
			}
			u, err := d.Authenticate(t.Context(), username, secret.FromString(given), remoteAddr)
			if (err != nil) != (tc.kind != fault.Internal) || err != nil && fault.KindOf(err) != tc.kind {
				t.Fatalf("Authenticate() = %v, want kind %v", err, tc.kind)
			}
			if err != nil && strings.Contains(err.Error(), given) {
				t.Errorf("the error has the password: %v", err)
			}
			if diff := cmp.Diff(tc.want, u); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
			if api.calls.Load() != tc.calls {
				t.Errorf("asked %d times, want %d", api.calls.Load(), tc.calls)
			}
			if asked, _ := api.asked.Load().(string); tc.calls > 0 && asked != `{"ip":"192.0.2.7","login":"Ann","password":"`+given+`"}` {
				t.Errorf("asked with %s", asked)
			}
		})
	}
}

// TestRemoteRefusesAlike gives the refusal of the built-in directory.
func TestRemoteRefusesAlike(t *testing.T) {
	t.Parallel()
	built, _ := open(t)
	_, want := built.Authenticate(t.Context(), "nobody", secret.FromString("correct horse"))
	_, got := NewRemote(RemoteConfig{SignIn: dial(t, &staff{status: 403}, signIn)}).
		Authenticate(t.Context(), "nobody", secret.FromString("correct horse"), remoteAddr)
	if diff := cmp.Diff(fault.Public(want), fault.Public(got)); diff != "" {
		t.Errorf("refusals differ (-built-in +remote):\n%s", diff)
	}
}

func TestRemoteActive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status  int
		unasked bool
		subject string
		want    bool
		kind    fault.Kind
		calls   int32
	}{
		"goes on":        {subject: "ext_17", want: true, calls: 1},
		"has left":       {subject: "ext_18", calls: 1},
		"cannot be told": {status: 503, subject: "ext_17", kind: fault.Unavailable, calls: 1},
		"nobody asks":    {status: 503, unasked: true, subject: "ext_18", want: true},
		"of another":     {subject: "usr_17"},
		"of another too": {unasked: true, subject: "usr_17"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &staff{status: tc.status}
			c := RemoteConfig{Refresh: dial(t, api, goOn)}
			if tc.unasked {
				c.Refresh = nil
			}
			d := NewRemote(c)
			got, err := d.Active(t.Context(), tc.subject)
			if got != tc.want || (err != nil) != (tc.kind != fault.Internal) || err != nil && fault.KindOf(err) != tc.kind {
				t.Errorf("Active() = %v, %v; want %v of kind %v", got, err, tc.want, tc.kind)
			}
			if d.Knows(tc.subject) != strings.HasPrefix(tc.subject, "ext_") || api.calls.Load() != tc.calls {
				t.Errorf("knows = %v after %d calls", d.Knows(tc.subject), api.calls.Load())
			}
		})
	}
}

// TestRemoteWithoutConnector is what remains if a reload takes the connector away.
func TestRemoteWithoutConnector(t *testing.T) {
	t.Parallel()
	none := func() (*connector.Client, bool) { return nil, false }
	d := NewRemote(RemoteConfig{SignIn: none, Refresh: none})
	_, signIn := d.Authenticate(t.Context(), "ann", secret.FromString("correct horse"), remoteAddr)
	active, refresh := d.Active(t.Context(), "ext_17")
	if fault.KindOf(signIn) != fault.Unavailable || fault.KindOf(refresh) != fault.Unavailable || active {
		t.Errorf("sign-in: %v, refresh: %v, %v", signIn, active, refresh)
	}
}

// TestRemoteLeaves gives up with the one who asks.
func TestRemoteLeaves(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	api := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	d := NewRemote(RemoteConfig{SignIn: dial(t, api, signIn)})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Authenticate(ctx, "ann", secret.FromString("correct horse"), remoteAddr); fault.KindOf(err) != fault.Unavailable || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("Authenticate() = %v", err)
	}
}
