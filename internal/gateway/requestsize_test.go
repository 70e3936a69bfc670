package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequestSize(t *testing.T) {
	t.Parallel()
	upstream := newEcho(t)
	_, server := newGateway(t, Options{Config: oneRoute(upstream.URL, Plugins{RequestSizeLimiting: &RequestSizeLimiting{AllowedPayloadSize: 5, SizeUnit: "bytes"}})})
	_, strict := newGateway(t, Options{Config: oneRoute(upstream.URL, Plugins{RequestSizeLimiting: &RequestSizeLimiting{AllowedPayloadSize: 5, SizeUnit: "bytes", RequireContentLength: true}})})
	const exceeded, required = "Request size limit exceeded", "A valid Content-Length header is required"
	for name, tc := range map[string]struct {
		server  *httptest.Server
		head    string
		body    string
		status  int
		message string
	}{
		"none":                      {server, "", "", 200, ""},
		"none, strict":              {strict, "", "", 200, ""},
		"at the bound":              {server, "Content-Length: 5\r\n", "12345", 200, ""},
		"at the bound, strict":      {strict, "Content-Length: 5\r\n", "12345", 200, ""},
		"over it":                   {server, "Content-Length: 6\r\n", "123456", 413, exceeded},
		"over it, announced":        {server, "Content-Length: 6\r\nExpect: 100-Continue\r\n", "", 417, exceeded},
		"chunked, at the bound":     {server, "Transfer-Encoding: chunked\r\n", "2\r\n12\r\n3\r\n345\r\n0\r\n\r\n", 200, ""},
		"chunked, over it":          {server, "Transfer-Encoding: chunked\r\n", "2\r\n12\r\n4\r\n3456\r\n0\r\n\r\n", 413, exceeded},
		"chunked, strict":           {strict, "Transfer-Encoding: chunked\r\n", "0\r\n\r\n", 411, required},
		"chunked, without an end":   {server, "Transfer-Encoding: chunked\r\n", strings.Repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 4000), 413, exceeded},
		"chunked, of many chunks":   {server, "Transfer-Encoding: chunked\r\n", strings.Repeat("1\r\nx\r\n", 100) + "0\r\n\r\n", 413, exceeded},
		"chunked, broken too early": {server, "Transfer-Encoding: chunked\r\n", "zz\r\n", 400, "The request body cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := raw(t, tc.server.Listener.Addr().String(), []byte("POST /demo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+tc.head+"\r\n"+tc.body))
			if a.status != tc.status || tc.message != "" && a.message(t) != tc.message {
				t.Fatalf("%d %s, want %d %q", a.status, a.body, tc.status, tc.message)
			}
			if tc.status == 200 && strings.Contains(tc.head, ":") {
				if got := a.seen(t).Body; got != "12345" {
					t.Errorf("the upstream got %q", got)
				}
			}
		})
	}
}

// A handler inside the process is bounded, too, and sees why.
func TestRequestSizeOfInternalServices(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	_, server := newGateway(t, Options{
		Config: oneRoute("internal://reader", Plugins{RequestSizeLimiting: &RequestSizeLimiting{AllowedPayloadSize: 1, SizeUnit: "kilobytes"}}),
		Internal: map[string]http.Handler{"reader": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if n > 1024 {
				err = fmt.Errorf("%d bytes", n)
			}
			read <- err
		})},
	})
	for size, tooLarge := range map[int]bool{1024: false, 1025: true, 1 << 20: true} {
		raw(t, server.Listener.Addr().String(), fmt.Appendf(nil, "POST /demo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size)))
		err := <-read
		if _, is := errors.AsType[*http.MaxBytesError](err); is != tooLarge || err != nil && !is {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestRequestSizeDefaults(t *testing.T) {
	t.Parallel()
	for want, s := range map[int64]RequestSizeLimiting{
		128 << 20: {},
		3 << 20:   {AllowedPayloadSize: 3},
		4 << 10:   {AllowedPayloadSize: 4, SizeUnit: "kilobytes"},
		5:         {AllowedPayloadSize: 5, SizeUnit: "bytes"},
	} {
		if got := newSizeStage(&s).bound; got != want {
			t.Errorf("%+v: %d bytes, want %d", s, got, want)
		}
	}
}

func TestValidateRequestSize(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]RequestSizeLimiting{
		"":                     {AllowedPayloadSize: maxPayload, SizeUnit: "megabytes"},
		"allowed_payload_size": {AllowedPayloadSize: -1},
		"between 1 and":        {AllowedPayloadSize: maxPayload + 1},
		"size_unit":            {SizeUnit: "gigabytes"},
	} {
		cfg := oneRoute("http://h", Plugins{RequestSizeLimiting: &s})
		if err := cfg.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: Validate() = %v, want a fault of %q", s, err, want)
		}
	}
}

// A consumer can have a bound of its own.
func TestRequestSizeOfAConsumer(t *testing.T) {
	t.Parallel()
	cfg := oneRoute(newEcho(t).URL, Plugins{JWT: &JWT{}, RequestSizeLimiting: &RequestSizeLimiting{AllowedPayloadSize: 1}})
	cfg.Consumers[0].Plugins.RequestSizeLimiting = &RequestSizeLimiting{AllowedPayloadSize: 3, SizeUnit: "bytes"}
	_, server := newGateway(t, Options{Config: cfg})
	for token, want := range map[string]int{hs(appSecret, "app-key"): 413, deviceToken("mobilev2", nil): 200} {
		a := raw(t, server.Listener.Addr().String(), []byte("POST /demo?jwt="+token+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\n1234"))
		if a.status != want {
			t.Errorf("%d %s, want %d", a.status, a.body, want)
		}
	}
}
