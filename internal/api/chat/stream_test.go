package chat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/socket"
	"github.com/carnetproject/carnet/internal/wire"
)

// post asks over HTTP, on a connection of its own. Headers are given as pairs.
func (w *world) post(path, body string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://chat.example"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(r, headers...)
}

func (w *world) do(r *http.Request, headers ...string) *http.Response {
	w.t.Helper()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		w.dials <- far
		return near, nil
	}}).RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// listener is a client of the stream.
type listener struct {
	t     *testing.T
	w     *world
	res   *http.Response
	in    *bufio.Reader
	token string
	conv  string
	pings int
}

func (w *world) listen(hello string, headers ...string) *listener {
	w.t.Helper()
	res := w.post("/chat/v1/stream", hello, headers...)
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("status %d", res.StatusCode)
	}
	return &listener{t: w.t, w: w, res: res, in: bufio.NewReader(res.Body)}
}

// join listens with a token until the welcome.
func (w *world) join(token string, more ...string) *listener {
	w.t.Helper()
	l := w.listen(`{"type":"hello","token":"` + token + `","bot":"echo"` + strings.Join(append([]string{""}, more...), ",") + `}`)
	l.token = token
	l.conv = l.want("welcome")["conversation"].(string)
	return l
}

// next returns the next frame, nil at the end, and counts the comments on the way.
func (l *listener) next() map[string]any {
	l.t.Helper()
	for {
		line, err := l.in.ReadString('\n')
		switch data, isData := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: "); {
		case err != nil:
			return nil
		case isData:
			var m map[string]any
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				l.t.Fatalf("event %q: %v", data, err)
			}
			if why := checkServerFrame([]byte(data)); why != "" {
				l.t.Errorf("%s: %s", data, why)
			}
			return m
		case strings.HasPrefix(line, ":"):
			l.pings++
		case line != "\n":
			l.t.Fatalf("line %q", line)
		}
	}
}

func (l *listener) want(kind string) map[string]any {
	l.t.Helper()
	m := l.next()
	if m["type"] != kind {
		l.t.Fatalf("got %v, want a frame of type %s", m, kind)
	}
	return m
}

func (l *listener) wantClose(code closeCode, reason string) {
	l.t.Helper()
	if m := l.want("close"); m["code"] != float64(code) || m["reason"] != reason {
		l.t.Errorf("closed with %v, want %d %s", m, code, reason)
	}
	if m := l.next(); m != nil {
		l.t.Errorf("behind the end: %v", m)
	}
}

func (l *listener) wantRefusal(close closeCode, code string) {
	l.t.Helper()
	if e, _ := l.want("error")["error"].(map[string]any); e["code"] != code {
		l.t.Errorf("error %v, want the code %s", e, code)
	}
	l.wantClose(close, code)
}

// say posts frames and returns what becomes of them.
func (l *listener) say(frames ...string) []map[string]any {
	l.t.Helper()
	res := l.w.post("/chat/v1/conversations/"+l.conv+"/frames", strings.Join(frames, "\n"), "Authorization", "Bearer "+l.token)
	if res.StatusCode != http.StatusOK {
		l.t.Fatalf("status %d", res.StatusCode)
	}
	var answers []map[string]any
	for d := json.NewDecoder(res.Body); ; {
		var m map[string]any
		if err := d.Decode(&m); err == io.EOF {
			return answers
		} else if err != nil {
			l.t.Fatal(err)
		}
		answers = append(answers, m)
	}
}

// TestStreamForgetsItsHello: a stream at rest does not hold the body of its request.
func TestStreamForgetsItsHello(t *testing.T) {
	t.Parallel()
	s := &stream{hello: []byte("hello"), over: make(chan struct{})}
	close(s.over)
	heard := ""
	if err := s.read(func(_ socket.Opcode, data []byte) { heard = string(data) }); err != nil || heard != "hello" || s.hello != nil {
		t.Errorf("read() = %v, %q was heard, %q is kept", err, heard, s.hello)
	}
}

// TestStream: what is said by requests and by sockets reaches streams, and the other way
// round.
func TestStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.join("ann")
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
		} {
			if got := l.res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		c := w.dial()
		c.hello("ann")
		got := l.say(`{"type":"send","id":"m1","body":{"text":"a\nb"}}`)
		if len(got) != 1 || got[0]["type"] != "ack" || got[0]["id"] != "m1" || got[0]["seq"] != 1. {
			t.Errorf("answer %v, want the ack", got)
		}
		for _, m := range []map[string]any{l.want("message"), c.want("message")} {
			if m["seq"] != 1. || m["id"] != "m1" || m["body"].(map[string]any)["text"] != "a\nb" {
				t.Errorf("message %v", m)
			}
		}
		c.send("m2")
		if m := l.want("message"); m["seq"] != 2. || m["id"] != "m2" {
			t.Errorf("message %v", m)
		}
		l.say(`{"type":"typing"}`, `{"type":"read","seq":2}`)
		c.want("typing")
		if m := c.want("read"); m["seq"] != 2. {
			t.Errorf("read %v", m)
		}
	})
}

// TestStreamResumes where the client says that it is.
func TestStreamResumes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.join("ann")
		l.say(`{"type":"send","id":"m1","body":1}`, `{"type":"send","id":"m2","body":2}`, `{"type":"send","id":"m3","body":3}`)
		again := w.join("ann", `"conversation":"`+l.conv+`"`, `"after":1`)
		for _, id := range []string{"m2", "m3"} {
			if m := again.want("message"); m["id"] != id {
				t.Errorf("message %v, want %s", m, id)
			}
		}
	})
}

// TestStreamRefused in the stream, as on a socket.
func TestStreamRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hello   string
		headers []string
		close   closeCode
		code    string
	}{
		"forged token":        {`{"type":"hello","token":"forged","bot":"echo"}`, nil, closeTokenRefused, "token_refused"},
		"junk":                {`junk`, nil, closeBadFrame, "bad_frame"},
		"nothing":             {``, nil, closeBadFrame, "bad_frame"},
		"no hello":            {`{"type":"ping"}`, nil, closeBadFrame, "bad_frame"},
		"no such bot":         {`{"type":"hello","token":"ann","bot":"none"}`, nil, closeNotAllowed, "not_found"},
		"page of another app": {`{"type":"hello","token":"ann","bot":"echo"}`, []string{"Origin", other}, closeNotAllowed, "origin_refused"},
		"keys out of reach":   {`{"type":"hello","token":"no-keys","bot":"echo"}`, nil, closeUnavailable, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(_ *testing.T, w *world) {
				w.listen(tc.hello, tc.headers...).wantRefusal(tc.close, tc.code)
			})
		})
	}
}

// TestStreamNotAdmitted: what is refused before there is a stream.
func TestStreamNotAdmitted(t *testing.T) {
	t.Parallel()
	hello := `{"type":"hello","token":"ann","bot":"echo"}`
	for name, tc := range map[string]struct {
		body    string
		headers []string
		edit    func(*Config)
		status  int
	}{
		"page of nobody":    {hello, []string{"Origin", "https://evil.example"}, nil, http.StatusForbidden},
		"hello too large":   {strings.Repeat(" ", maxFrame+1), nil, nil, http.StatusRequestEntityTooLarge},
		"too many attempts": {hello, nil, func(c *Config) { c.Connects = limit.New(limit.Rate{N: 1, Per: time.Minute}, 16) }, http.StatusTooManyRequests},
		"too many of one":   {hello, nil, func(c *Config) { c.PerAddr = 1 }, http.StatusTooManyRequests},
		"too many":          {hello, nil, func(c *Config) { c.Total = 1 }, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			edit := tc.edit
			if edit == nil {
				edit = func(*Config) {}
			}
			inWorld(t, func(t *testing.T, w *world) {
				if tc.edit != nil {
					w.join("bob")
				}
				if res := w.post("/chat/v1/stream", tc.body, tc.headers...); res.StatusCode != tc.status {
					t.Errorf("status %d, want %d", res.StatusCode, tc.status)
				}
			}, edit)
		})
	}
}

func TestStreamAnswersPreflights(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, path := range []string{"/chat/v1/stream", "/chat/v1/conversations/cnv_a/frames"} {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://chat.example"+path, nil)
			res := w.do(r, "Origin", shop, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
			h := res.Header
			if h.Get("Access-Control-Allow-Origin") != shop || h.Get("Access-Control-Allow-Methods") != "POST" ||
				!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
				t.Errorf("%s: %d %v", path, res.StatusCode, h)
			}
			r, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, "http://chat.example"+path, nil)
			if res := w.do(r); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST, OPTIONS" {
				t.Errorf("GET %s: %d", path, res.StatusCode)
			}
		}
		l := w.listen(`{"type":"hello","token":"ann","bot":"echo"}`, "Origin", shop)
		if got := l.res.Header.Get("Access-Control-Allow-Origin"); got != shop {
			t.Errorf("a page may not read its stream: %q", got)
		}
	})
}

// TestStreamLives as long as its token, though nothing is heard of the client.
func TestStreamLives(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		began := time.Now()
		l := w.join("ann/10m")
		l.wantRefusal(closeTokenRefused, "token_expired")
		if took := time.Since(began); took < 11*time.Minute || took > 11*time.Minute+2*time.Second {
			t.Errorf("ended after %v, want a minute after the token", took)
		}
		if most := 11 * 60 / 20; l.pings < most-2 || l.pings > most+2 {
			t.Errorf("%d signs of life, want one each 20 s: %d", l.pings, most)
		}
	})
}

func TestStreamOfARevokedToken(t *testing.T) {
	list := &outlaws{}
	inWorld(t, func(t *testing.T, w *world) {
		l := w.join("ann")
		at := time.Now()
		list.revoke("ann")
		l.wantRefusal(closeTokenRefused, "token_refused")
		if waited := time.Since(at); waited > time.Second {
			t.Errorf("closed after %v, want it within a second", waited)
		}
		res := w.post("/chat/v1/conversations/"+l.conv+"/frames", "", "Authorization", "Bearer ann")
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("frames of a revoked token: %d, want 401", res.StatusCode)
		}
	}, withOutlaws(list, func() {}))
}

// TestStreamEnds when the client goes, and when the server does.
func TestStreamEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gone, stays := w.join("ann"), w.join("bob")
		_ = gone.res.Body.Close()
		time.Sleep(time.Second)
		if n := w.Conns(); n != 1 {
			t.Errorf("%d connections, want the one whose client is there", n)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			stays.wantRefusal(closeGoingAway, "going_away")
		}()
		w.Shutdown(t.Context())
		<-done
	})
}

// TestStreamThatIsNotRead ends, and does not keep the node from going.
func TestStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"cut at shutdown": 0, "in time": 3 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.join("ann")
				c := w.engine.sink().(*conn)
				for i := int64(1); !c.out.Over(); i++ {
					c.Message(note(i, 50<<10))
				}
				time.Sleep(wait)
				if n := w.Conns(); wait > 0 && n != 0 {
					t.Errorf("%d connections are left", n)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				w.Shutdown(ctx)
				if _, err := io.Copy(io.Discard, l.res.Body); err == nil {
					t.Error("the answer looks whole")
				}
			})
		})
	}
}

// TestEvent: a frame is one line, whatever is in it.
func TestEvent(t *testing.T) {
	t.Parallel()
	frame, err := wire.JSON(toMessage(chat.Message{Seq: 1, ID: "m", From: chat.FromBot, Body: []byte("{\n\"a\" : \"b\\n\\r\"\r\n}"), At: noon}))
	if err != nil {
		t.Fatal(err)
	}
	e := event(frameOf(frame))
	if n := bytes.Count(e, []byte("\n")); n != 2 || bytes.Contains(e, []byte("\r")) || !bytes.HasPrefix(e, []byte("data: {")) {
		t.Errorf("event %q", e)
	}
}

// TestStreamOverHTTP2 is what browsers have over TLS: the stream and the requests share a
// connection.
func TestStreamOverHTTP2(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	stop := w.serve(l) // the engine, and a listener that nobody calls
	mux := http.NewServeMux()
	w.Mount(mux)
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	post := func(path, body string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ann")
		res, err := s.Client().Do(r)
		if err != nil || res.ProtoMajor != 2 || res.StatusCode != http.StatusOK {
			t.Fatalf("%v %v, want 200 by HTTP/2", res, err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	stream := post("/chat/v1/stream", `{"type":"hello","token":"ann","bot":"echo"}`)
	c := &listener{t: t, w: w, res: stream, in: bufio.NewReader(stream.Body)}
	conv := c.want("welcome")["conversation"].(string)
	answer, err := io.ReadAll(post("/chat/v1/conversations/"+conv+"/frames", `{"type":"send","id":"m1","body":1}`).Body)
	if err != nil || !strings.Contains(string(answer), `"type":"ack"`) {
		t.Errorf("answer %q, %v", answer, err)
	}
	if m := c.want("message"); m["id"] != "m1" {
		t.Errorf("message %v", m)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.wantRefusal(closeGoingAway, "going_away")
	}()
	stop()
	<-done
}
