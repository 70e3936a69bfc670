package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

func TestWelcome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		got := w.dial().hello("ann", `"context":{"page": "/prices"}`)
		sealed := got["session"].(string)
		delete(got, "session")
		id := chat.ID(got["conversation"].(string))
		want := map[string]any{
			"type": "welcome", "conversation": string(id), "user": map[string]any{"iss": issuer, "sub": "ann"},
			"last_seq": 0., "read_seq": 0., "expires_in": 900., "ping_interval": 25.,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("welcome (-want +got):\n%s", diff)
		}
		if strings.Contains(sealed, "ann") || strings.Count(sealed, ".") != 4 {
			t.Errorf("session %q, want a JWE", sealed)
		}
		h := chat.Hello{
			User: chat.User{Issuer: issuer, Subject: "ann"}, Bot: "echo", After: chat.FromNow,
			Context: json.RawMessage(`{"page":"/prices"}`),
		}
		if diff := cmp.Diff(h, w.engine.hello(), cmpopts.EquateComparable(h.Addr)); diff != "" {
			t.Errorf("hello (-want +got):\n%s", diff)
		}
	})
}

// TestWelcomeShowsTheBotsKey as it is published at that time, and no other bot's.
func TestWelcomeShowsTheBotsKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, tc := range []struct {
			published BotKeys
			want      any
		}{
			{BotKeys{"menu": json.RawMessage(`{"kty":"EC"}`)}, nil},
			{BotKeys{"echo": json.RawMessage(`{"kty":"EC","x":"<"}`)}, map[string]any{"kty": "EC", "x": "<"}},
			{BotKeys{"echo": json.RawMessage(`"a.b.c"`)}, "a.b.c"},
		} {
			w.Publish(tc.published)
			if got := w.dial().hello("ann", `"after":0`)["bot_key"]; !cmp.Equal(got, tc.want) {
				t.Errorf("bot_key = %v, want %v", got, tc.want)
			}
		}
	})
}

func TestHelloRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		members string
		close   closeCode
		code    string
	}{
		"token not valid":          {`"token":"forged","bot":"echo"`, closeTokenRefused, "token_refused"},
		"token without the scope":  {`"token":"no-scope","bot":"echo"`, closeNotAllowed, "denied"},
		"verifier cannot tell":     {`"token":"no-keys","bot":"echo"`, closeUnavailable, "unavailable"},
		"verifier is broken":       {`"token":"broken","bot":"echo"`, closeUnavailable, "internal"},
		"no such bot":              {`"token":"ann","bot":"nobody"`, closeNotAllowed, "not_found"},
		"no such conversation":     {`"token":"ann","bot":"echo","conversation":"cnv_nosuch"`, closeNotAllowed, "not_found"},
		"bob's conversation":       {`"token":"ann","bot":"echo","conversation":"$BOB"`, closeNotAllowed, "not_found"},
		"bob's session":            {`"token":"ann","bot":"echo","session":"$SESSION"`, closeNotAllowed, "session_refused"},
		"session of another bot":   {`"token":"bob","bot":"menu","session":"$SESSION"`, closeNotAllowed, "session_refused"},
		"session changed":          {`"token":"bob","bot":"echo","session":"$SESSIONx"`, closeNotAllowed, "session_refused"},
		"session is junk":          {`"token":"bob","bot":"echo","session":"x"`, closeNotAllowed, "session_refused"},
		"session of another talk":  {`"token":"bob","bot":"echo","session":"$SESSION","conversation":"cnv_other"`, closeNotAllowed, "session_refused"},
		"session sealed for other": {`"token":"bob","bot":"echo","session":"$ALIEN"`, closeNotAllowed, "session_refused"},
		"session of other content": {`"token":"bob","bot":"echo","session":"$TEXT"`, closeNotAllowed, "session_refused"},
		"conversation, other bot":  {`"token":"bob","bot":"menu","conversation":"$BOB"`, closeBadFrame, "invalid"},
		"context too large merged": {`"token":"bob","bot":"echo","context":{"b":"$LONG"}`, closeBadFrame, "too_large"},
		"no token":                 {`"bot":"echo"`, closeBadFrame, "bad_frame"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				bob := w.dial().hello("bob", `"context":{"a":"`+strings.Repeat("x", 6000)+`"}`)
				alien, err := w.c.Box.Seal("other:v1", []byte("{}"))
				if err != nil {
					t.Fatal(err)
				}
				text, err := w.c.Box.Seal(sessionPurpose, []byte("text"))
				if err != nil {
					t.Fatal(err)
				}
				c := w.dial()
				c.say("{\"type\":\"hello\",%s}", strings.NewReplacer(
					"$BOB", bob["conversation"].(string), "$SESSION", bob["session"].(string),
					"$ALIEN", alien, "$TEXT", text, "$LONG", strings.Repeat("y", 6000),
				).Replace(tc.members))
				e := c.wantRefusal(tc.close, tc.code)
				if s := fmt.Sprint(e); strings.Contains(s, "10.0.0.7") || strings.Contains(s, "signature") {
					t.Errorf("%s shows a cause", s)
				}
			})
		})
	}
}

func TestHelloWithTheStoreDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.breaks(fault.Wrap(fault.Unavailable, "the store is out of reach", errors.New("10.0.0.7")))
		c := w.dial()
		c.say(`{"type":"hello","token":"ann","bot":"echo"}`)
		c.wantRefusal(closeUnavailable, "unavailable")
	})
}

// TestVerifierThatHangs shows that hello ends for everybody.
func TestVerifierThatHangs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.say(`{"type":"hello","token":"ann","bot":"echo"}`)
		c.wantRefusal(closeUnavailable, "unavailable")
	}, func(c *Config) {
		c.Verify = func(ctx context.Context, _ string) (Identity, error) {
			<-ctx.Done()
			return Identity{}, fault.Wrap(fault.Unavailable, "keys are out of reach", ctx.Err())
		}
	})
}

func TestResume(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		members string
		want    []float64 // of the messages that come
	}{
		"from the session":       {`"session":"$SESSION","after":1`, []float64{2, 3}},
		"from the conversation":  {`"conversation":"$ID","after":2`, []float64{3}},
		"from both":              {`"conversation":"$ID","session":"$SESSION","after":0`, []float64{1, 2, 3}},
		"the user's current one": {`"after":0`, []float64{1, 2, 3}},
		"from where it stood":    {`"session":"$SESSION"`, []float64{1, 2, 3}},
		"from now":               {`"conversation":"$ID"`, nil},
		"nothing missed":         {`"session":"$SESSION","after":3`, nil},
		"after what is to come":  {`"session":"$SESSION","after":99`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				first := w.dial()
				welcome := first.hello("ann")
				for i := range 3 {
					first.send(fmt.Sprint("m", i))
				}
				_ = first.conn.Close()
				c := w.dial()
				members := strings.NewReplacer("$SESSION", welcome["session"].(string), "$ID", welcome["conversation"].(string)).Replace(tc.members)
				again := c.hello("ann", members)
				if again["conversation"] != welcome["conversation"] || again["last_seq"] != 3. {
					t.Errorf("resumed %v, want %v", again, welcome)
				}
				for _, seq := range tc.want {
					if m := c.want("message"); m["seq"] != seq {
						t.Errorf("message %v, want %v", m, seq)
					}
				}
				c.wantQuiet()
			})
		})
	}
}

func TestRefresh(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		welcome := c.hello("ann/60s")
		if welcome["expires_in"] != 60. {
			t.Errorf("expires_in = %v, want 60", welcome["expires_in"])
		}
		c.idle(50 * time.Second)
		c.say(`{"type":"refresh","token":"ann/10m"}`)
		m := c.want("session")
		if m["expires_in"] != 600. {
			t.Errorf("expires_in = %v, want 600", m["expires_in"])
		}
		c.idle(20 * time.Second)
		c.send("m1")
		again := w.dial().hello("ann", fmt.Sprintf(`"session":%q`, m["session"]))
		if again["conversation"] != welcome["conversation"] {
			t.Errorf("the newer session leads to %v", again["conversation"])
		}
	})
}

func TestRefreshRefusals(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]struct {
		close closeCode
		code  string
	}{
		"bob":      {closeTokenRefused, "other_user"},
		"forged":   {closeTokenRefused, "token_refused"},
		"no-scope": {closeNotAllowed, "denied"},
		"no-keys":  {closeUnavailable, "unavailable"},
	} {
		t.Run(token, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				c.hello("ann")
				c.say(`{"type":"refresh","token":%q}`, token)
				c.wantRefusal(want.close, want.code)
			})
		})
	}
}

// TestExpiry: after its token's end a connection hears, but may not speak, for a minute.
func TestExpiry(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.dial()
		old.hello("ann/60s")
		old.idle(60 * time.Second)
		fresh := w.dial()
		fresh.hello("ann")
		old.say(`{"type":"send","id":"late","body":1}`)
		nack := old.want("nack")
		if nack["id"] != "late" || nack["error"].(map[string]any)["code"] != "token_expired" {
			t.Errorf("nack %v", nack)
		}
		old.say(`{"type":"typing"}`)
		old.say(`{"type":"read","seq":0}`)
		old.say(`{"type":"context","set":{"a":1}}`)
		fresh.send("m1")
		if m := old.want("message"); m["id"] != "m1" {
			t.Errorf("message %v", m)
		}
		old.wantQuiet()
		fresh.wantQuiet()
		if c, err := w.store.lookup(func(*chat.Conversation) bool { return true }); err != nil || string(c.Context) != "{}" {
			t.Errorf("context %s, %v; want what it was", c.Context, err)
		}
		at := time.Now()
		old.wantRefusal(closeTokenRefused, "token_expired")
		if waited := time.Since(at); waited < 50*time.Second || waited > 62*time.Second {
			t.Errorf("closed after %v more, want a minute", waited)
		}
	})
}

func TestRefreshAfterExpiry(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann/60s")
		c.idle(90 * time.Second)
		c.say(`{"type":"refresh","token":"ann"}`)
		c.want("session")
		c.idle(120 * time.Second)
		c.send("m1")
	})
}

// TestHelloToABusyBot is answered with when to come back.
func TestHelloToABusyBot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.engine.fail = &fault.Error{Kind: fault.Unavailable, Code: "busy", Msg: "too much to answer", RetryAfter: time.Second}
		c := w.dial()
		c.say(`{"type":"hello","token":"ann","bot":"echo"}`)
		if e := c.wantRefusal(closeUnavailable, "busy"); e["retry_after"] != 1.0 {
			t.Errorf("error %v, want when to come back", e)
		}
	})
}
