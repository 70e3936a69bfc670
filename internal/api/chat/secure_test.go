package chat

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
	"github.com/carnetproject/carnet/internal/socket"
)

func TestSecureFrames(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]securesession.Notice{
		`{"type":"secure","state":"secured","reason":"allowed"}`: {Standing: securesession.Secured},
		`{"type":"secure","state":"locked","reason":"unauthorized","message":"<b>Sign in</b>"}`: {
			Standing: securesession.Locked, Reason: securesession.Unauthorized, Message: "<b>Sign in</b>",
		},
		`{"type":"secure","state":"unavailable","reason":"temporarily_unavailable","message":"Later.","retry_after":1.5}`: {
			Standing: securesession.Unverified, Reason: securesession.Unavailable, Message: "Later.", RetryAfter: 1500 * time.Millisecond,
		},
	} {
		line := make(tap, 8)
		c := &conn{out: socket.Queue{Line: line}}
		c.Secure(n)
		if told := line.until(c); len(told) != 1 || told[0] != want || checkServerFrame([]byte(told[0])) != "" {
			t.Errorf("told %q, want %s", told, want)
		}
		c.out.Wait()
	}
}

// TestSecureVectors: each reason for which a message is blocked, and each standing, has a
// vector for clients to be tested with.
func TestSecureVectors(t *testing.T) {
	t.Parallel()
	told := map[string]bool{}
	for _, v := range vectors(t) {
		var f struct {
			Type, State, Reason string
			Error               struct{ Code string }
		}
		if v.Valid && json.Unmarshal(v.text(), &f) == nil {
			told[f.Type+" "+f.Error.Code+f.State] = true
			told[f.Type+" for "+f.Reason] = true
		}
	}
	for _, want := range []string{
		"nack unauthorized", "nack credential_missing", "nack restricted", "nack temporarily_unavailable", "nack busy", "nack bot_not_running",
		"secure locked", "secure secured", "secure unavailable",
		"secure for unauthorized", "secure for credential_missing", "secure for restricted", "secure for temporarily_unavailable", "secure for allowed",
	} {
		if !told[want] {
			t.Errorf("there is no vector of %s", want)
		}
	}
}

// TestLockedOut refuses a hello: the user is told what to do before the end, which says
// whether to come back.
func TestLockedOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  *chat.LockedError
		want []string
		end  closeCode
	}{
		"refused": {
			&chat.LockedError{
				Notice: securesession.Notice{Standing: securesession.Locked, Reason: securesession.Unauthorized, Message: "Sign in."},
				Err:    &fault.Error{Kind: fault.Denied, Code: "unauthorized", Msg: "no", Err: securesession.Unauthorized},
			},
			[]string{
				`{"type":"secure","state":"locked","reason":"unauthorized","message":"Sign in."}`,
				`{"type":"error","error":{"code":"unauthorized","title":"no"}}`,
			},
			closeLocked,
		},
		"not now": {
			&chat.LockedError{Err: &fault.Error{Kind: fault.Unavailable, Code: "temporarily_unavailable", Msg: "later", RetryAfter: time.Second}},
			[]string{`{"type":"error","error":{"code":"temporarily_unavailable","title":"later","retry_after":1}}`},
			closeUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.engine.fail = tc.err
			line := make(tap, 8)
			c := &conn{h: w.Handler, out: socket.Queue{Line: line}}
			r := c.take(t.Context(), []byte(`{"type":"hello","token":"ann","bot":"echo"}`))
			if r == nil {
				t.Fatal("the hello is taken")
			}
			c.refuse(t.Context(), r)
			for _, want := range tc.want {
				if f := <-line; string(f.Data) != want {
					t.Errorf("told %s, want %s", f.Data, want)
				}
			}
			if f := <-line; f.Op != socket.Close || closeCode(f.Code) != tc.end {
				t.Errorf("ended with %+v, want %d", f, tc.end)
			}
			c.out.Wait()
		})
	}
}
