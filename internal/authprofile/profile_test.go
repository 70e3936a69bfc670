package authprofile

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/fault"
)

// documented is a document as ServisBOT's documentation has it.
const documented = `{
	"Alias": "bank-login", "Type": "oauth2", "Vendor": "default", "Organization": "acme", "Srn": "srn:x",
	"Configuration": {
		"RedirectUrl": "https://bank.example/chat", "ClientId": "carnet", "ClientSecret": "srn:vault::acme:secretdoc:client",
		"AuthenticationUrl": "https://login.example/authorize?a=b", "AccessUrl": "https://login.example/token"
	}
}`

var acme = Options{Organization: "acme"}

// edited is the documented document with a member of Configuration, or of the whole,
// replaced; nil: left out.
func edited(t testing.TB, pointer string, v any) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(documented), &doc); err != nil {
		t.Fatal(err)
	}
	at := doc
	name, inside := strings.CutPrefix(pointer, "/Configuration/")
	if inside {
		at = doc["Configuration"].(map[string]any) //nolint:forcetypeassert // the test's own
	} else {
		name = strings.TrimPrefix(pointer, "/")
	}
	if at[name] = v; v == nil {
		delete(at, name)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParse(t *testing.T) {
	t.Parallel()
	base := func(edit func(*Profile)) *Profile {
		p := &Profile{
			Alias: "bank-login", Return: "https://bank.example/chat", Client: "carnet", Secret: "srn:vault::acme:secretdoc:client",
			Authorize: "https://login.example/authorize?a=b", Token: "https://login.example/token", Lifetime: 24 * time.Hour,
		}
		if edit != nil {
			edit(p)
		}
		return p
	}
	for name, tc := range map[string]struct {
		doc  []byte
		want *Profile
	}{
		"documented":       {[]byte(documented), base(nil)},
		"public client":    {edited(t, "/Configuration/ClientSecret", nil), base(func(p *Profile) { p.Secret = "" })},
		"vendor":           {edited(t, "/Vendor", "ms"), base(func(p *Profile) { p.Scopes = []string{"openid", "offline_access"} })},
		"no vendor":        {edited(t, "/Vendor", nil), base(nil)},
		"scopes":           {edited(t, "/Configuration/Scopes", []string{"a", "b:c"}), base(func(p *Profile) { p.Scopes = []string{"a", "b:c"} })},
		"scopes in a line": {edited(t, "/Configuration/Scopes", "a  b"), base(func(p *Profile) { p.Scopes = []string{"a", "b"} })},
		"issuer":           {edited(t, "/Configuration/Issuer", "https://login.example"), base(func(p *Profile) { p.Issuer = "https://login.example" })},
		"user info":        {edited(t, "/Configuration/UserInfoUrl", "https://u.example/me"), base(func(p *Profile) { p.UserInfo = "https://u.example/me" })},
		"connector":        {edited(t, "/Configuration/ApiAlias", "Ask-Bank"), base(func(p *Profile) { p.Connector = "ask-bank" })},
		"in the body":      {edited(t, "/Configuration/ClientAuthentication", "client_secret_post"), base(func(p *Profile) { p.Post = true })},
		"in the header":    {edited(t, "/Configuration/ClientAuthentication", "client_secret_basic"), base(nil)},
		"PKCE":             {edited(t, "/Configuration/Pkce", "S256"), base(nil)},
		"no PKCE":          {edited(t, "/Configuration/Pkce", "none"), base(func(p *Profile) { p.Plain = true })},
		"lifetime":         {edited(t, "/Configuration/LifetimeSeconds", 60), base(func(p *Profile) { p.Lifetime = time.Minute })},
	} {
		got, err := Parse(tc.doc, acme)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(Profile{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		at string
		v  any
	}{
		{"/Alias", nil},
		{"/Alias", "with space"},
		{"/Alias", 7},
		{"/Type", nil},
		{"/Type", "saml"},
		{"/Vendor", "google"},
		{"/Configuration", nil},
		{"/Configuration", []string{}},
		{"/Unknown", 1},
		{"/Configuration/Unknown", 1},
		{"/Configuration/RedirectUrl", nil},
		{"/Configuration/RedirectUrl", "/chat"},
		{"/Configuration/RedirectUrl", "javascript:alert(1)"},
		{"/Configuration/RedirectUrl", "http://bank.example"},
		{"/Configuration/RedirectUrl", "https://bank.example/#x"},
		{"/Configuration/RedirectUrl", "https://ann@bank.example"},
		{"/Configuration/RedirectUrl", "//bank.example"},
		{"/Configuration/RedirectUrl", "https://"},
		{"/Configuration/RedirectUrl", "https://:443"},
		{"/Configuration/RedirectUrl", "https://bank.example/#"},
		{"/Configuration/ClientId", nil},
		{"/Configuration/ClientId", ""},
		{"/Configuration/ClientSecret", "hunter2"},
		{"/Configuration/ClientSecret", "srn:vault::other:secretdoc:client"},
		{"/Configuration/ClientSecret", "srn:vault::acme:secret:client"},
		{"/Configuration/ClientSecret", map[string]any{}},
		{"/Configuration/AuthenticationUrl", nil},
		{"/Configuration/AuthenticationUrl", "ftp://login.example"},
		{"/Configuration/AccessUrl", nil},
		{"/Configuration/AccessUrl", "https://login.example/%zz"},
		{"/Configuration/Scopes", 7},
		{"/Configuration/Scopes", []string{"a b"}},
		{"/Configuration/Scopes", []string{""}},
		{"/Configuration/Scopes", `a"`},
		{"/Configuration/UserInfoUrl", "http://u.example"},
		{"/Configuration/Pkce", "plain"},
		{"/Configuration/ClientAuthentication", "private_key_jwt"},
		{"/Configuration/LifetimeSeconds", 59},
		{"/Configuration/LifetimeSeconds", 2592001},
		{"/Configuration/LifetimeSeconds", "60"},
		{"/Configuration/LifetimeSeconds", 60.5},
	} {
		_, err := Parse(edited(t, tc.at, tc.v), acme)
		if fields := fieldsOf(err); fault.KindOf(err) != fault.Invalid || !strings.Contains(fields, tc.at) {
			t.Errorf("%s: %v gives %q, %v", tc.at, tc.v, fields, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Error("the error repeats what may be a secret")
		}
	}
	for _, doc := range []string{"", "null", "[]", "{} {}", `{"Alias":`} {
		if _, err := Parse([]byte(doc), acme); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

func TestParseHoldsTogether(t *testing.T) {
	t.Parallel()
	both := strings.Replace(documented, `"ClientId"`, `"ApiAlias": "a", "UserInfoUrl": "https://u.example", "ClientId"`, 1)
	if _, err := Parse([]byte(both), acme); fieldsOf(err) != "/Configuration/UserInfoUrl" {
		t.Errorf("two who are asked: %v", err)
	}
	open := strings.Replace(documented, `"ClientSecret": "srn:vault::acme:secretdoc:client"`, `"Pkce": "none"`, 1)
	if _, err := Parse([]byte(open), acme); fieldsOf(err) != "/Configuration/Pkce" {
		t.Errorf("a public client without PKCE: %v", err)
	}
	plain := edited(t, "/Configuration/AccessUrl", "http://127.0.0.1:1/token")
	if _, err := Parse(plain, Options{Organization: "acme", Insecure: true}); err != nil {
		t.Errorf("insecure: %v", err)
	}
	a, err := Parse([]byte(documented), acme)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse(edited(t, "/Configuration/ClientId", "x"), acme)
	if err != nil || a.Revision() == b.Revision() || a.Revision() == "" {
		t.Errorf("revisions %q and %q, %v", a.Revision(), b.Revision(), err)
	}
}

// fieldsOf lists the fields of a joined error.
func fieldsOf(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // of this one alone
		var all []string
		for _, e := range joined.Unwrap() {
			all = append(all, fieldsOf(e))
		}
		return strings.Join(all, " ")
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Field
	}
	return ""
}

// FuzzParse: what is accepted calls https alone, and comes back there.
func FuzzParse(f *testing.F) {
	f.Add([]byte(documented))
	f.Add(edited(f, "/Configuration/RedirectUrl", "https://bank.example/?a=b"))
	f.Add(edited(f, "/Configuration/Scopes", "openid a"))
	f.Add([]byte(`{"Configuration":{"Scopes":["a"]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := Parse(doc, acme)
		if err != nil {
			return
		}
		for _, address := range []string{p.Return, p.Authorize, p.Token} {
			if !strings.HasPrefix(strings.ToLower(address), "https://") || strings.Contains(address, "#") {
				t.Errorf("accepts %q", address)
			}
		}
		if p.Client == "" || p.Lifetime < time.Minute || p.Lifetime > maxLifetime || p.Plain && p.Secret == "" {
			t.Errorf("accepts %+v", p)
		}
	})
}

// FuzzAnswer: what is taken for tokens can be shown in a header.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"access_token":"a","token_type":"Bearer","expires_in":60,"refresh_token":"b"}`))
	f.Add(200, []byte(`{"access_token":"a\n","token_type":"bearer","expires_in":"-1"}`))
	f.Add(400, []byte(`{"error":"invalid_grant"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a, err := readAnswer(status, body)
		if err != nil {
			return
		}
		now := time.Unix(1_800_000_000, 0)
		got := a.tokens(now, tokens{}.refresh)
		if status != 200 || a.Access == "" || strings.ContainsAny(a.Access+a.Refresh, "\r\n\x00") {
			t.Errorf("takes %d %q", status, body)
		}
		if !got.expires.IsZero() && (got.expires.Before(now) || got.expires.After(now.Add(maxExpires*time.Second))) {
			t.Errorf("a token until %v", got.expires)
		}
	})
}
