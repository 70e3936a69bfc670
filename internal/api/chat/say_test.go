package chat

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/socket"
)

func frameOf(text []byte) socket.Frame { return socket.Frame{Op: socket.Text, Data: text} }

// brief names what matters of a frame.
func brief(f map[string]any) string {
	e, _ := f["error"].(map[string]any)
	var words []string
	for _, w := range []any{f["type"], f["id"], e["code"], f["code"]} {
		if w != nil {
			words = append(words, fmt.Sprint(w))
		}
	}
	return strings.Join(words, " ")
}

func TestSay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		frames []string
		want   []string // of the answer, sorted
		stored int
	}{
		"nothing": {nil, nil, 0},
		"sends": {
			[]string{`{"type":"send","id":"m1","body":1}`, ``, `{"type":"send","id":"m2","body":2}`},
			[]string{"ack m1", "ack m2"},
			2,
		},
		"the same send twice": {
			[]string{`{"type":"send","id":"m1","body":1}`, `{"type":"send","id":"m1","body":1}`},
			[]string{"ack m1", "ack m1"},
			1,
		},
		"a send that is too large": {
			[]string{`{"type":"send","id":"m1","body":"` + strings.Repeat("x", 61<<10) + `"}`, `{"type":"send","id":"m2","body":2}`},
			[]string{"ack m2", "nack m1 too_large"},
			1,
		},
		"a context": {
			[]string{`{"type":"context","id":"c1","set":{"a":1}}`, `{"type":"context","set":{"b":2}}`},
			[]string{"context c1"},
			0,
		},
		"what has no answer": {[]string{`{"type":"typing"}`, `{"type":"read","seq":0}`}, nil, 0},
		"nothing behind a bad frame": {
			[]string{`junk`, `{"type":"send","id":"m1","body":1}`},
			[]string{"close 4400", "error bad_frame"},
			0,
		},
		"hello":    {[]string{`{"type":"hello","token":"ann","bot":"echo"}`}, []string{"close 4400", "error bad_frame"}, 0},
		"refresh":  {[]string{`{"type":"refresh","token":"ann"}`}, []string{"close 4400", "error bad_frame"}, 0},
		"ping":     {[]string{`{"type":"ping"}`}, []string{"close 4400", "error bad_frame"}, 0},
		"too many": {slices.Repeat([]string{`{"type":"typing"}`}, framesBurst+1), []string{"close 4409", "error too_many"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.join("ann")
				var got []string
				for _, f := range l.say(tc.frames...) {
					got = append(got, brief(f))
				}
				slices.Sort(got)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				for range tc.stored {
					l.want("message")
				}
				w.store.mu.Lock()
				defer w.store.mu.Unlock()
				if n := len(w.store.said[w.store.convs[0].ID]); n != tc.stored {
					t.Errorf("%d messages are stored, want %d", n, tc.stored)
				}
			})
		})
	}
}

// TestSayBehindTheEnd: what a request says after its token was revoked, or the node told
// it to go, is not done.
func TestSayBehindTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.join("ann")
		a := &answers{open: 1, over: make(chan struct{})}
		c := &conn{h: w.Handler, deaf: true, out: socket.Queue{Line: a}}
		if err := c.visit(t.Context(), "ann", chat.ID(l.conv)); err != nil {
			t.Fatal(err)
		}
		c.leave()
		c.sayAll(t.Context(), a, []byte(`{"type":"send","id":"m1","body":1}`))
		c.session.Close()
		c.out.Flush()
		synctest.Wait()
		if n := len(w.store.said[chat.ID(l.conv)]); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
		if got := string(a.frames); !strings.Contains(got, `"going_away"`) || strings.Contains(got, `"m1"`) {
			t.Errorf("answer %s", got)
		}
	})
}

// TestSayRefused: what is wrong with the request as a whole.
func TestSayRefused(t *testing.T) {
	t.Parallel()
	frame := `{"type":"send","id":"m1","body":1}`
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for name, tc := range map[string]struct {
		headers []string
		body    string
		status  int
	}{
		"no token":                 {nil, frame, http.StatusUnauthorized},
		"forged token":             {bearer("forged"), frame, http.StatusUnauthorized},
		"token for something else": {bearer("no-scope"), frame, http.StatusForbidden},
		"keys out of reach":        {bearer("no-keys"), frame, http.StatusServiceUnavailable},
		"another user":             {bearer("bob"), frame, http.StatusNotFound},
		"page of nobody":           {append(bearer("ann"), "Origin", "https://evil.example"), frame, http.StatusForbidden},
		"page of another app":      {append(bearer("ann"), "Origin", other), frame, http.StatusForbidden},
		"page of the token's app":  {append(bearer("ann"), "Origin", shop), frame, http.StatusOK},
		"too much":                 {bearer("ann"), strings.Repeat(" ", maxFrame+1), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.join("ann")
				if res := w.post("/chat/v1/conversations/"+l.conv+"/frames", tc.body, tc.headers...); res.StatusCode != tc.status {
					t.Errorf("status %d, want %d", res.StatusCode, tc.status)
				}
				w.store.mu.Lock()
				defer w.store.mu.Unlock()
				if n := len(w.store.said); (n == 0) == (tc.status == http.StatusOK) {
					t.Errorf("%d conversations have messages", n)
				}
			})
		})
	}
}

// TestSayIsCounted like a connection, and for each user.
func TestSayIsCounted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.join("ann")
		w.says = limit.New(limit.Rate{N: 2, Per: time.Second}, 1)
		for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
			res := w.post("/chat/v1/conversations/"+l.conv+"/frames", "", "Authorization", "Bearer ann")
			if res.StatusCode != want {
				t.Errorf("request %d: %d, want %d", i+1, res.StatusCode, want)
			}
		}
		w.dial()
		res := w.post("/chat/v1/conversations/"+l.conv+"/frames", "", "Authorization", "Bearer ann")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "5" {
			t.Errorf("beside two connections: %d, after %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	}, func(c *Config) { c.PerAddr = 2 })
}

// TestSayWhileTheNodeGoes: a request waits for its answer, and ends with the node.
func TestSayWhileTheNodeGoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.join("ann")
		held := &answers{open: 2, over: make(chan struct{})} // one that no commit will settle
		c := &conn{h: w.Handler, deaf: true, out: socket.Queue{Line: held}}
		if err := w.conns.Admit(w.c.ClientAddr(l.res.Request)); err != nil {
			t.Fatal(err)
		}
		w.enter(c)
		done := make(chan string)
		go func() {
			held.wait(t.Context())
			c.out.Flush()
			w.conns.Leave(w.c.ClientAddr(l.res.Request), c)
			done <- string(held.frames)
		}()
		go w.Shutdown(t.Context())
		frames := <-done
		if strings.Count(frames, "\n") != 2 || !strings.Contains(frames, "going_away") || !strings.Contains(frames, `"code":4500`) {
			t.Errorf("answer %s, want that the node goes away", frames)
		}
	})
}

// TestAnswers waits for what is expected, and no longer than its request.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		act  func(a *answers)
		want int // frames
		took time.Duration
	}{
		"nothing expected":  {(*answers).settle, 0, 0},
		"an answer":         {func(a *answers) { a.expect(); a.settle(); _ = a.Write(frameOf([]byte(`{"id":"m1"}`))) }, 1, 0},
		"early":             {func(a *answers) { a.expect(); _ = a.Write(frameOf([]byte(`{"id":"m1"}`))); a.settle() }, 1, 0},
		"one is missing":    {func(a *answers) { a.expect(); a.settle() }, 0, time.Minute},
		"no answer":         {func(a *answers) { a.expect(); a.settle(); _ = a.Write(frameOf([]byte(`{"type":"session"}`))) }, 1, time.Minute},
		"closed":            {func(a *answers) { a.expect(); _ = a.Write(closing(closeGoingAway, "x")) }, 1, 0},
		"cut":               {func(a *answers) { a.Cut(); a.Cut() }, 0, 0},
		"pings say nothing": {func(a *answers) { a.expect(); a.settle(); _ = a.Write(socket.Frame{Op: socket.Ping}) }, 0, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				a, began := &answers{open: 1, over: make(chan struct{})}, time.Now()
				tc.act(a)
				a.wait(ctx)
				if got := bytes.Count(a.frames, []byte("\n")); got != tc.want || time.Since(began) != tc.took {
					t.Errorf("%d frames after %v, want %d after %v", got, time.Since(began), tc.want, tc.took)
				}
			})
		})
	}
}

// trap is an engine after whose Visit nothing goes well.
type trap struct {
	engine
	shut bool
}

func (e *trap) Visit(ctx context.Context, u chat.User, id chat.ID, addr netip.Addr, s chat.Sink) (*chat.Session, error) {
	defer func() { e.shut = true }()
	return e.engine.Visit(ctx, u, id, addr, s)
}

// TestPanic leaves no session behind, for which the node would wait when it stops.
func TestPanic(t *testing.T) {
	t.Parallel()
	hello := []byte(`{"type":"hello","token":"ann","bot":"echo"}`)
	connect := func(w *world, then func()) *conn {
		c := &conn{h: w.Handler, out: socket.Queue{Line: &answers{open: 1, over: make(chan struct{})}}}
		c.run(w.t.Context(), func(receive func(socket.Opcode, []byte)) error {
			receive(socket.Text, hello)
			then()
			return nil
		})
		return c
	}
	for name, f := range map[string]func(w *world){
		"of a connection": func(w *world) { connect(w, func() { panic("on a frame") }) },
		"of a request": func(w *world) {
			id := connect(w, func() {}).session.Conversation().ID
			e := &trap{engine: w.engine}
			w.c.Engine = e
			w.c.Clock = func() time.Time {
				if e.shut {
					panic("the clock stands still")
				}
				return time.Now()
			}
			r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/", http.NoBody)
			r.SetPathValue("id", string(id))
			r.Header.Set("Authorization", "Bearer ann")
			_ = w.say(httptest.NewRecorder(), r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				func() {
					defer func() {
						if recover() == nil {
							t.Error("nothing has panicked")
						}
					}()
					f(w)
				}()
				left, giveUp := context.WithTimeout(t.Context(), time.Minute)
				defer giveUp()
				if w.engine.Drain(left); left.Err() != nil {
					t.Error("a session is left")
				}
			})
		})
	}
}
