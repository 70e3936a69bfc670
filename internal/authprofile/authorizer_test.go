package authprofile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/securesession"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const refresh = "token refresh_token"
	bare := func(i *issuer) { i.bare = true }
	for name, tc := range map[string]struct {
		edit   func(*Profile)
		issuer func(*issuer)
		before func(*desk)
		class  securesession.Class
		calls  string
		maxAge time.Duration // of a yes
	}{
		"asks whose token it is":         {nil, nil, nil, securesession.Yes, "userinfo", time.Hour},
		"a token's end bounds a yes":     {nil, bare, nil, securesession.Yes, "userinfo", time.Minute},
		"a token without an end":         {nil, func(i *issuer) { i.bare, i.lasts = true, "" }, nil, securesession.Yes, "userinfo", time.Hour},
		"seconds in a string":            {nil, func(i *issuer) { i.bare, i.lasts = true, `"120"` }, nil, securesession.Yes, "userinfo", 2 * time.Minute},
		"an end beyond all times":        {nil, func(i *issuer) { i.lasts = "999999999999999" }, nil, securesession.Yes, "userinfo", time.Hour},
		"refreshes what has expired":     {nil, nil, func(d *desk) { d.pass(51 * time.Second) }, securesession.Yes, refresh + " userinfo", time.Hour - 51*time.Second},
		"refreshes what is refused":      {nil, nil, func(d *desk) { d.issuer.expire() }, securesession.Yes, "userinfo " + refresh + " userinfo", time.Hour},
		"revoked":                        {nil, nil, func(d *desk) { d.issuer.revoke() }, securesession.No, "userinfo " + refresh, 0},
		"expired and revoked":            {nil, nil, func(d *desk) { d.pass(time.Minute); d.issuer.revoke() }, securesession.No, refresh, 0},
		"expired, without a refresh":     {nil, bare, func(d *desk) { d.pass(time.Minute) }, securesession.No, "", 0},
		"revoked, without a refresh":     {nil, bare, func(d *desk) { d.issuer.revoke() }, securesession.No, "userinfo", 0},
		"the sign-in has ended":          {nil, nil, func(d *desk) { d.pass(time.Hour) }, securesession.No, "", 0},
		"nobody to ask: refreshes":       {func(p *Profile) { p.UserInfo = "" }, nil, nil, securesession.Yes, refresh, time.Hour},
		"nobody to ask, revoked":         {func(p *Profile) { p.UserInfo = "" }, nil, func(d *desk) { d.issuer.revoke() }, securesession.No, refresh, 0},
		"nobody to ask, nothing to show": {func(p *Profile) { p.UserInfo = "" }, bare, nil, securesession.Yes, "", time.Minute},
		"the store is down":              {nil, nil, func(d *desk) { d.shelf.broken = errors.New("down") }, securesession.Failure, "", 0},
		"the client is refused": {
			func(p *Profile) { p.UserInfo = "" }, nil,
			func(d *desk) { d.issuer.set(func(i *issuer) { i.answer = http.NotFound }) },
			securesession.Misconfigured, refresh, 0,
		},
		"breaks down": {nil, nil, func(d *desk) { d.issuer.answering(500) }, securesession.Failure, "userinfo", 0},
		"too many":    {nil, nil, func(d *desk) { d.issuer.answering(429) }, securesession.Failure, "userinfo", 0},
		"forbidden":   {nil, bare, func(d *desk) { d.issuer.answering(403) }, securesession.No, "userinfo", 0},
		"moved":       {nil, nil, func(d *desk) { d.issuer.answering(302) }, securesession.Misconfigured, "userinfo", 0},
		"not found":   {nil, nil, func(d *desk) { d.issuer.answering(404) }, securesession.Misconfigured, "userinfo", 0},
		"no content":  {nil, nil, func(d *desk) { d.issuer.answering(204) }, securesession.Failure, "userinfo", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, tc.edit)
			if tc.issuer != nil {
				d.issuer.set(tc.issuer)
			}
			hint := d.signedIn(t)
			a := d.authorizer(t)
			d.redeem(t, hint)
			d.issuer.asked()
			if tc.before != nil {
				tc.before(d)
			}
			got := check(t, a, ann, hint)
			want(t, "check", got, tc.class)
			if tc.class == securesession.Yes && (!got.Bounded || got.MaxAge != tc.maxAge) {
				t.Errorf("a yes for %v, want %v", got.MaxAge, tc.maxAge)
			}
			if calls := d.issuer.asked(); calls != tc.calls {
				t.Errorf("calls %q, want %q", calls, tc.calls)
			}
		})
	}
}

// answering has every call answered by a status alone.
func (i *issuer) answering(status int) {
	i.set(func(i *issuer) {
		i.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	})
}

// redeem has the grant stand until the sign-in ends.
func (d *desk) redeem(t *testing.T, hint string) {
	t.Helper()
	if _, _, err := d.authorizer(t).find(t.Context(), ann, hint); err != nil {
		t.Fatal(err)
	}
}

// TestRefreshIsKept goes on with what the provider has given last, be it a new refresh
// token or none, and ends a grant that is refused.
func TestRefreshIsKept(t *testing.T) {
	t.Parallel()
	for _, stays := range []bool{false, true} {
		d := newDesk(t, nil)
		d.issuer.set(func(i *issuer) { i.noneNew = stays })
		hint, a := d.signedIn(t), d.authorizer(t)
		for i := range 5 {
			d.pass(time.Minute)
			want(t, fmt.Sprint("refresh ", i), check(t, a, ann, hint), securesession.Yes)
		}
		if g := d.shelf.grants[ann]; !g.Expires.Equal(time.Unix(1_800_000_000, 0).Add(time.Hour)) {
			t.Errorf("refreshing has moved the end to %v", g.Expires)
		}
		d.issuer.revoke()
		d.pass(time.Minute)
		want(t, "revoked", check(t, a, ann, hint), securesession.No)
		if len(d.shelf.grants) != 0 {
			t.Error("the grant is still there")
		}
		d.issuer.asked()
		want(t, "and again", check(t, a, ann, hint), securesession.No)
		want(t, "after another sign-in, with the old hint", check(t, a, ann, d.signedIn(t)[1:]), securesession.No)
	}
}

// TestRefreshLost is of two nodes that refresh at once: who loses does not overwrite.
func TestRefreshLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	hint, a := d.signedIn(t), d.authorizer(t)
	g, tok, err := a.find(t.Context(), ann, hint)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.refresh(t.Context(), ann, g, tok); err != nil {
		t.Fatal(err)
	}
	won := d.shelf.grants[ann]
	if _, _, err := a.refresh(t.Context(), ann, g, tok); err == nil {
		t.Error("a refresh token counted twice")
	}
	if diff := cmp.Diff(won, d.shelf.grants[ann]); diff != "" {
		t.Error(diff)
	}
	if _, err := a.swap(t.Context(), ann, g); !errors.Is(err, errMoved) {
		t.Errorf("swap() error = %v", err)
	}
}

// TestRefreshesAtOnce is of a user with tabs on two nodes: while the one refreshes, the other
// does, and the provider takes a refresh token but once.
func TestRefreshesAtOnce(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Profile){
		"to ask with":   nil,
		"nobody to ask": func(p *Profile) { p.UserInfo = "" },
	} {
		d := newDesk(t, edit)
		hint, a, other := d.signedIn(t), d.authorizer(t), d.authorizer(t)
		d.pass(51 * time.Second)
		var first sync.Once
		d.issuer.set(func(i *issuer) {
			i.answer = func(w http.ResponseWriter, r *http.Request) {
				first.Do(func() {
					i.set(func(i *issuer) { i.answer = nil })
					want(t, name+", the other node", check(t, other, ann, hint), securesession.Yes)
				})
				i.serve(w, r)
			}
		})
		want(t, name, check(t, a, ann, hint), securesession.Yes)
		if len(d.shelf.grants) != 1 {
			t.Errorf("%s: the grant is gone", name)
		}
	}
}

// TestSealedForOneConversation moves the tokens of one to another's row.
func TestSealedForOneConversation(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	hint := d.signedIn(t)
	d.shelf.grants[mallory] = d.shelf.grants[ann]
	want(t, "moved", check(t, d.authorizer(t), mallory, hint), securesession.No)
	want(t, "at home", check(t, d.authorizer(t), ann, hint), securesession.Yes)
}

func TestOtherProfilesGrant(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	hint := d.signedIn(t)
	d.policy.Alias = "Other"
	want(t, "another profile", check(t, d.authorizer(t), ann, hint), securesession.No)
}

func TestSlowProvider(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	hint := d.signedIn(t)
	d.redeem(t, hint)
	end := make(chan struct{})
	defer close(end)
	d.issuer.set(func(i *issuer) {
		i.answer = func(w http.ResponseWriter, r *http.Request) { // the body never ends
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-end:
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got := d.authorizer(t).Check(ctx, ann, subject(hint))
	if got.Class != securesession.Failure || got.Detail != "timeout" {
		t.Errorf("Check() = %+v", got)
	}
}

func TestGuardedProvider(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	to := d.start(t, ann, "browser")
	d.Use(map[string]*Profile{"bank": d.profile}, egress.Guard{}) // as a reload does
	_, _, err := d.Finish(t.Context(), d.issuer.signIn(t, to))
	if !errors.Is(err, errMisconfigured) || d.issuer.asked() != "" {
		t.Errorf("Finish() error = %v", err)
	}
}

// TestUse takes a profile away: who is in stays in, and nobody can sign in any more.
func TestUse(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	hint, a, link := d.signedIn(t), d.authorizer(t), d.sealed(t, ann)
	if p, ok := d.Profile("BANK"); !ok || p != d.profile {
		t.Errorf("Profile() = %v, %t", p, ok)
	}
	r := d.issuer.signIn(t, d.start(t, ann, "browser"))
	d.Use(nil, egress.Guard{})
	want(t, "who is in", check(t, a, ann, hint), securesession.Yes)
	if _, err := d.Start(t.Context(), link, "browser"); !errors.Is(err, ErrLink) {
		t.Errorf("Start() error = %v", err)
	}
	if _, _, err := d.Finish(t.Context(), r); !errors.Is(err, ErrReturn) {
		t.Errorf("Finish() error = %v", err)
	}
	if _, ok := d.Profile("bank"); ok {
		t.Error("the profile is still there")
	}
	if _, ok := (*Broker)(nil).Profile("bank"); ok {
		t.Error("no broker has a profile")
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	a := newDesk(t, nil).authorizer(t)
	for object, want := range map[string]struct {
		in      securesession.Inputs
		missing bool
	}{
		`{"userToken":"h","other":1}`:         {securesession.Inputs{"$.userToken": json.RawMessage(`"h"`)}, false},
		`{"userToken":""}`:                    {securesession.Inputs{"userToken": nil}, true},
		`{"userToken":7}`:                     {securesession.Inputs{"userToken": nil}, true},
		`{"userToken":null}`:                  {securesession.Inputs{"userToken": nil}, true},
		`{"state":{"userToken":"h"}}`:         {securesession.Inputs{"userToken": nil}, true},
		`{"userToken":"h","userToken":"h"}`:   {securesession.Inputs{"userToken": nil}, true},
		`{"userToken":"h","a":{"b":1,"b":2}}`: {securesession.Inputs{"userToken": nil}, true},
		`{}`:                                  {securesession.Inputs{"userToken": nil}, true},
		`[]`:                                  {securesession.Inputs{"userToken": nil}, true},
		``:                                    {securesession.Inputs{"userToken": nil}, true},
	} {
		in, missing := a.Read(json.RawMessage(object))
		if diff := cmp.Diff(want.in, in); diff != "" || missing != want.missing {
			t.Errorf("%s: missing %t, %s", object, missing, diff)
		}
	}
}

// TestConnector has the profile's connector show the user's token to an API.
func TestConnector(t *testing.T) {
	t.Parallel()
	var shown []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		shown = append(shown, r.Header.Get("Authorization")+" "+string(bytes.TrimSpace(body)))
		if r.Header.Get("Authorization") != "Bearer ACCESS-2" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, `{"name":"Ann"}`)
	}))
	defer api.Close()
	doc := fmt.Appendf(nil, `{
		"Alias": "ask-bank", "Method": "POST", "Endpoint": %q, "Headers": {"Authorization": "Bearer ${token}"}, "Body": {},
		"RequestMapping": {
			"token": {"type": "requestHeader", "inputPath": "$.state.userToken", "requestParameter": "token"},
			"account": {"type": "requestBody", "inputPath": "$.account", "requestBodyPath": "$.account"},
			"channel": {"type": "requestBody", "inputPath": "$.state.channel", "requestBodyPath": "$.channel", "optional": true}
		},
		"ResponseMapping": {"name": {"type": "responseBody", "responseBodyPath": "$.name", "outputPath": "$.customer"}}
	}`, api.URL)
	c, _, err := connector.Parse(doc, connector.Options{Organization: "acme", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	client, err := connector.NewClient(c, connector.Config{Guard: loopback})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	d := newDesk(t, func(p *Profile) { p.UserInfo, p.Connector = "", "ask-bank" })
	a, err := d.Authorizer(d.policy, client)
	if err != nil {
		t.Fatal(err)
	}
	hint := d.signedIn(t)
	ask := func(object string) securesession.Answer {
		t.Helper()
		return a.Check(t.Context(), ann, securesession.Subject{Context: json.RawMessage(fmt.Sprintf(object, hint))})
	}
	want(t, "with the token", ask(`{"userToken":%q,"account":7,"state":{"userToken":"forged","channel":"web"}}`), securesession.Yes)
	if got := ask(`{"userToken":%q,"account":7,"state":"none"}`); string(got.Output) != `{"customer":"Ann"}` || !got.Bounded {
		t.Errorf("answer %+v", got)
	}
	d.pass(time.Minute)
	want(t, "another token", ask(`{"userToken":%q,"account":7}`), securesession.No)
	want(t, "an input is missing", ask(`{"userToken":%q}`), securesession.Misconfigured)
	wantShown := []string{
		`Bearer ACCESS-2 {"account":7,"channel":"web"}`, `Bearer ACCESS-2 {"account":7}`, `Bearer ACCESS-3 {"account":7}`,
	}
	if diff := cmp.Diff(wantShown, shown); diff != "" {
		t.Error(diff)
	}

	in, missing := a.Read(json.RawMessage(`{"userToken":"h","account":7}`))
	if wantIn := (securesession.Inputs{
		"$.userToken": json.RawMessage(`"h"`), "token": json.RawMessage(`"h"`), "account": json.RawMessage("7"), "channel": nil,
	}); missing || !cmp.Equal(wantIn, in) {
		t.Errorf("Read() = %t, %s", missing, cmp.Diff(wantIn, in))
	}
	if _, missing := a.Read(json.RawMessage(`{"userToken":"h"}`)); !missing {
		t.Error("an input of the connector is not missed")
	}
	if r := a.Revision(); !strings.Contains(r, client.Revision()) {
		t.Errorf("Revision() = %q", r)
	}
}

// TestRevision: what was found stands until the profile, or the client's secret in use, is
// another one.
func TestRevision(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	a := d.authorizer(t)
	seen := map[string]bool{a.Revision(): true}
	step := func(name string, changes bool, act func()) {
		t.Helper()
		act()
		if seen[a.Revision()] == changes {
			t.Errorf("%s: the revision changes: %t, want %t", name, !changes, changes)
		}
		seen[a.Revision()] = true
	}
	d.vault.rotate("1")
	step("not looked for yet", false, func() {})
	step("learnt", true, func() { a.Learn(t.Context()) })
	hint := d.signedIn(t)
	step("used", false, func() { want(t, "signed in", check(t, a, ann, hint), securesession.Yes) })
	d.vault.rotate("2")
	step("not used yet", false, func() { want(t, "signed in", check(t, a, ann, hint), securesession.Yes) })
	step("rotated", true, func() { d.signedIn(t) })
	public := newDesk(t, func(p *Profile) { p.Secret = "" }).authorizer(t)
	if r := public.Revision(); r != public.Profile.Revision() {
		t.Errorf("without a secret: %q", r)
	}
}

// TestNothingIsTold goes through every outcome, and looks at all that leaves the package.
func TestNothingIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	a := d.authorizer(t)
	var told []string
	note := func(v ...any) { told = append(told, fmt.Sprintf("%v %+v %#v", v, v, v)) }
	to := d.start(t, ann, "browser")
	note(to, a.Invite(ann))
	r := d.issuer.signIn(t, to)
	page, _, err := d.Finish(t.Context(), r)
	note(page, err)
	_, hint, _ := strings.Cut(page, "userToken=")
	note(check(t, a, ann, hint), a.Revision())
	g, tok, err := a.find(t.Context(), ann, hint)
	note(err, tok)
	plain := fmt.Sprintf("%s %x %v", g.Sealed, g.Hint, d.shelf.signIns)
	d.issuer.revoke()
	note(check(t, a, ann, hint))
	d.issuer.answering(http.StatusInternalServerError)
	_, err = a.renew(t.Context(), tok)
	note(err, a.inform(t.Context(), tok))
	d.issuer.Close()
	_, err = a.renew(t.Context(), tok)
	note(err, a.inform(t.Context(), tok))
	for _, text := range append(told, plain) {
		for _, private := range []string{"ACCESS-", "REFRESH-", "s3cret", "/token", "/userinfo"} {
			if strings.Contains(text, private) {
				t.Errorf("%s is told: %s", private, text)
			}
		}
	}
	if strings.Contains(plain, hint) {
		t.Error("the store has the hint")
	}
	if len(told) != 7 {
		t.Errorf("%d outcomes", len(told))
	}
}
