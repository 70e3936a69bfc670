package gateway

import (
	"io"
	"net/http"
	"sync/atomic"
)

// watchedBody is a request's body on its way to the upstream. It remembers whether
// reading it failed: then the client is at fault and not the upstream.
//
// Closing it does nothing, so that another target can be tried with a body of which
// nothing was read. What it reads from is closed by net/http when the handler returns.
type watchedBody struct {
	from  io.Reader
	bound int64 // bytes; 0: none
	read  int64
	ended atomic.Uint32 // a bodyFate
}

type bodyFate uint32

const (
	bodyFine bodyFate = iota
	bodyBroken
	bodyTooLarge
)

// fate may be called on nil, which is no body.
func (b *watchedBody) fate() bodyFate {
	if b == nil {
		return bodyFine
	}
	return bodyFate(b.ended.Load())
}

// Read returns an [*http.MaxBytesError] where the bound is passed, as handlers
// inside the process know it.
func (b *watchedBody) Read(p []byte) (int, error) {
	if b.bound > 0 && int64(len(p)) > b.bound-b.read+1 {
		p = p[:b.bound-b.read+1]
	}
	n, err := b.from.Read(p)
	b.read += int64(n)
	switch {
	case b.bound > 0 && b.read > b.bound:
		b.ended.Store(uint32(bodyTooLarge))
		return 0, &http.MaxBytesError{Limit: b.bound}
	case err != nil && err != io.EOF:
		b.ended.Store(uint32(bodyBroken))
	}
	return n, err
}

func (*watchedBody) Close() error { return nil }
