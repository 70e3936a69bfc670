package gateway

import (
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/carnetproject/carnet/internal/trace"
)

// RoundTrip sends out to the service, as a part of the trace that the request is in.
func (f *flight) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx, span := trace.Call(out.Context(), "upstream")
	defer span.End()
	trace.Inject(ctx, out.Header)
	res, err := f.try(out)
	span.Set("carnet.service", f.route.service.name)
	switch {
	case err == nil:
		span.Status(res.StatusCode)
	case timedOut(err):
		span.Fail("timeout")
	default:
		span.Fail("failed")
	}
	return res, err
}

// try sends out to a target, and to others while that is safe: each at most once. A
// target is told well or not by whether it answers, whatever it answers.
func (f *flight) try(out *http.Request) (*http.Response, error) {
	s := f.route.service
	var tried []*target
	f.move(s.pool.pick(f.request.now, nil))
	for {
		out.URL.Host = f.at.host
		res, err := s.transport.RoundTrip(out)
		if err == nil {
			f.at.answered()
			return res, nil
		}
		if gone(out.Context(), err) || f.body.fate() != bodyFine {
			return nil, err
		}
		s.pool.failed(f.at, f.gateway.clock())
		if len(tried) >= s.retries || !repeatable(out, err) {
			return nil, err
		}
		tried = append(tried, f.at)
		next := s.pool.pick(f.request.now, tried)
		if next == nil {
			return nil, err
		}
		f.gateway.log.LogAttrs(out.Context(), slog.LevelWarn, "another target is tried",
			slog.String("service", s.name), slog.String("failed", f.at.host), slog.String("next", next.host), slog.Any("err", err))
		f.move(next)
	}
}

// move counts the request where it is now.
func (f *flight) move(to *target) {
	if f.at != nil {
		f.at.open.Add(-1)
	}
	if f.at = to; to != nil {
		to.open.Add(1)
	}
}

// repeatable tells whether a request that ended in err may be sent again: nobody
// got it since there was no connection, or it has no body and doing it twice is
// doing it once (RFC 9110 §9.2.2). One that was waited for in vain is not: it may be
// what keeps the targets busy.
func repeatable(r *http.Request, err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.Body == nil && !timedOut(err)
	}
	return false
}
