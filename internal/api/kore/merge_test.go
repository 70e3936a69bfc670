package kore

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/token"
)

// TestBefore reads what an assertion says of who the visitor was. Whose conversations a
// visitor must not take over is all that matters.
func TestBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.clock.now()
	nobody := token.NewAnonymous()
	other, secret := w.app(app.Registration{Name: "third", SessionAlgorithm: jose.HS256})
	foreign := func() string {
		own := w.secret
		defer func() { w.secret = own }()
		w.secret = secret
		return w.assertion(map[string]any{"iss": other.ID, "sub": "x", "isAnonymous": true})
	}()
	anonymous := func(change map[string]any) string {
		c := map[string]any{"sub": "uuid-1", "isAnonymous": true}
		for name, value := range change {
			c[name] = value
		}
		return w.assertion(c)
	}
	for name, tc := range map[string]struct {
		change map[string]any
		want   string // the subject; "": none
	}{
		"nobody of ours":          {map[string]any{"identityToMerge": nobody}, nobody},
		"an assertion":            {map[string]any{"identityToMerge": anonymous(nil)}, "uuid-1"},
		"one that is past":        {map[string]any{"identityToMerge": anonymous(map[string]any{"exp": now.Add(-29 * 24 * time.Hour).Unix()})}, "uuid-1"},
		"one with a used jti":     {map[string]any{"identityToMerge": anonymous(map[string]any{"jti": "used"})}, "uuid-1"},
		"long past":               {map[string]any{"identityToMerge": anonymous(map[string]any{"exp": now.Add(-31 * 24 * time.Hour).Unix()})}, ""},
		"from the future":         {map[string]any{"identityToMerge": anonymous(map[string]any{"iat": now.Add(time.Hour).Unix()})}, ""},
		"a known user":            {map[string]any{"identityToMerge": "bob@example.com"}, ""},
		"a known user's own word": {map[string]any{"identityToMerge": w.assertion(map[string]any{"sub": "bob"})}, ""},
		"someone who sounds so":   {map[string]any{"identityToMerge": "anon_bob"}, ""},
		"a random name":           {map[string]any{"identityToMerge": "3f2b8a52-6e5c-4c4f-8a55-0c5a54c6a3b1"}, ""},
		"forged":                  {map[string]any{"identityToMerge": anonymous(nil) + "A"}, ""},
		"of another app":          {map[string]any{"identityToMerge": foreign}, ""},
		"dots":                    {map[string]any{"identityToMerge": "a.b.c"}, ""},
		"still anonymous":         {map[string]any{"identityToMerge": nobody, "isAnonymous": true}, ""},
	} {
		v, err := w.verify(t.Context(), w.assertion(tc.change), now)
		if err != nil {
			t.Errorf("%s: verify() = %v", name, err)
			continue
		}
		from, err := w.before(t.Context(), v, now)
		if (err == nil) != (tc.want != "") || err == nil && from != (chat.User{Issuer: string(w.shop.ID), Subject: tc.want}) {
			t.Errorf("%s: before() = %v, %v, want %q", name, from, err, tc.want)
		}
	}
	if _, err := w.verify(t.Context(), w.assertion(map[string]any{"identityToMerge": 7}), now); err == nil {
		t.Error("a number was taken for an identity")
	}
}

// TestMerge talks as nobody, signs in, and finds what was said. Nobody has nothing then.
func TestMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := token.NewAnonymous()
	anonymous := map[string]any{"sub": nobody, "isAnonymous": true}
	before := w.login("st-echo", anonymous)
	p := w.open(before, "")
	p.wantText("Hello! I say what you say.")
	p.send(1, "before")
	p.wantText("before")

	for range 2 { // a page shows such an assertion each time that it is loaded
		ann := w.login("st-echo", map[string]any{"identityToMerge": nobody})
		want := []string{"Hello! I say what you say.", "before", "before"}
		if d := cmp.Diff(want, texts(w.past(ann, ""))); d != "" {
			t.Errorf("history (-want +got):\n%s", d)
		}
	}
	select {
	case <-p.closed:
	case <-time.After(time.Minute):
		t.Error("the socket from before is open")
	}
	if got := texts(w.past(before, "")); len(got) != 1 || got[0] != "" {
		t.Errorf("nobody's history is %q", got)
	}

	bob := w.login("st-echo", map[string]any{"sub": "bob", "identityToMerge": "ann"})
	if got := texts(w.past(bob, "")); len(got) != 1 || got[0] != "" {
		t.Errorf("bob named ann, and reads %q", got)
	}
}

// TestMergeFails sees that nobody goes on without what the app said is theirs.
func TestMergeFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.c.Engine = unmerging{w.engine}
	post := func(before string) answer {
		body, _ := json.Marshal(map[string]any{
			"assertion": w.assertion(map[string]any{"identityToMerge": before}), "botInfo": map[string]any{"taskBotId": "st-echo"},
		})
		return w.do("POST", "/api/oAuth/token/jwtgrant", string(body))
	}
	if a := post(token.NewAnonymous()); a.status != 500 || strings.Contains(a.text, "disk") {
		t.Errorf("%d %s, want 500 and no reason", a.status, a.text)
	}
	if a := post("bob"); a.status != 200 {
		t.Errorf("%d %s: there was nothing to merge", a.status, a.text)
	}
}

// TestMergeOutOfReach cannot read an app's secret for the moment that it takes to look who a
// visitor was. What was said then is not lost: the page comes again.
func TestMergeOutOfReach(t *testing.T) {
	t.Parallel()
	var left atomic.Int32 // assertions that can be checked
	w := newWorld(t, func(c *Config) {
		keys := c.Keys
		c.Keys = func(ctx context.Context, a *app.App, kid string, now time.Time) ([]*jose.Key, error) {
			if left.Add(-1) < 0 {
				return nil, fault.New(fault.Unavailable, "try again")
			}
			return keys(ctx, a, kid, now)
		}
	})
	was := map[string]any{"sub": "uuid-1", "isAnonymous": true}
	left.Store(1)
	wantSaid(t, w.hookPage("st-echo", was).post(eventMessage("ON_CONNECT")), hello)
	p := w.hookPage("st-echo", map[string]any{"identityToMerge": w.assertion(was)})
	for n := range int32(2) {
		left.Store(n)
		if a := p.post(eventMessage("ON_CONNECT")); a.status != 503 {
			t.Errorf("%d assertions can be checked: %d %s, want 503", n, a.status, a.text)
		}
	}
	left.Store(2)
	if got := texts(p.history("")); len(got) != 1 || got[0] != hello {
		t.Errorf("the history has %q, want what was said before", got)
	}
}

type unmerging struct{ *chat.Engine }

func (unmerging) Merge(context.Context, chat.User, chat.User) error { return errors.New("disk") }
