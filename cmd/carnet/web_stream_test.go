package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// checkpoint is a proxy in front of a node that lets no WebSocket through.
type checkpoint struct {
	*httptest.Server
	refused, streams atomic.Int64
}

func newCheckpoint(t *testing.T, n *node) *checkpoint {
	t.Helper()
	to, err := url.Parse(n.public)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	c := &checkpoint{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
			c.refused.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		case r.URL.Path == "/chat/v1/stream":
			c.streams.Add(1)
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	t.Cleanup(c.CloseClientConnections)
	return c
}

// TestChatWithoutWebSockets talks through a proxy that refuses them: the page finds
// another way by itself, and loses nothing on it.
func TestChatWithoutWebSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	between := newCheckpoint(t, n)
	behind := *n
	behind.public = between.URL
	ctx := browser(t)

	enter(t, &behind, ctx)
	until(t, ctx, "the welcome", element+`.querySelectorAll(".message").length === 1`)
	welcome := texts(t, ctx)[0]
	say(t, ctx, "Is anybody there?")
	said(t, ctx, "Is anybody there?", 2) // the echo says it again
	if between.refused.Load() != 1 || between.streams.Load() != 1 {
		t.Errorf("%d sockets refused, %d streams; want one of each", between.refused.Load(), between.streams.Load())
	}

	// another page, which has a socket, is in the same conversation
	direct := tab(t, ctx)
	enter(t, n, direct)
	said(t, direct, "Is anybody there?", 2)
	say(t, direct, "By socket")
	said(t, ctx, "By socket", 2)
	say(t, ctx, "By stream")
	said(t, direct, "By stream", 2)
	sockets(t, n, 2)

	// the stream is cut, and goes on
	between.CloseClientConnections()
	say(t, ctx, "Said when the line was cut")
	said(t, ctx, "Said when the line was cut", 2)
	said(t, direct, "Said when the line was cut", 2)

	// a page that is loaded anew tries a socket first again
	reload(t, ctx, welcome, "Said when the line was cut")
	if between.refused.Load() != 2 {
		t.Errorf("%d sockets refused, want one for each load of the page", between.refused.Load())
	}

	killed(t, n, ctx)
	said(t, direct, "Said while you were away", 2)
}
