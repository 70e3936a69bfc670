package gateway

import (
	"context"
	"net/http"
	"strings"
)

// RequestSizeLimiting bounds the bodies of requests, as Kong's plugin
// request-size-limiting does.
type RequestSizeLimiting struct {
	AllowedPayloadSize   int    `yaml:"allowed_payload_size"`   // 128
	SizeUnit             string `yaml:"size_unit"`              // megabytes, kilobytes or bytes
	RequireContentLength bool   `yaml:"require_content_length"` // refuse a body whose length nobody knows yet
}

// maxPayload is far above what anybody means, and far below what overflows.
const maxPayload = 1 << 30

// sizeUnits are Kong's.
var sizeUnits = map[string]int64{"": 1 << 20, "megabytes": 1 << 20, "kilobytes": 1 << 10, "bytes": 1}

func (v *validator) requestSize(at string, s *RequestSizeLimiting) {
	if s.AllowedPayloadSize < 0 || s.AllowedPayloadSize > maxPayload {
		v.bad(at+".allowed_payload_size", "value should be between 1 and %d", maxPayload)
	}
	if sizeUnits[s.SizeUnit] == 0 {
		v.bad(at+".size_unit", "%q: expected one of: megabytes, kilobytes, bytes", s.SizeUnit)
	}
}

// sizeStage refuses a body by its length. One that does not state it is cut off when
// it passes the bound.
type sizeStage struct {
	bound    int64
	required bool
}

func newSizeStage(s *RequestSizeLimiting) *sizeStage {
	size := int64(s.AllowedPayloadSize)
	if size == 0 {
		size = 128
	}
	return &sizeStage{bound: size * sizeUnits[s.SizeUnit], required: s.RequireContentLength}
}

func (*sizeStage) name() string { return "request-size-limiting" }

func (s *sizeStage) check(_ context.Context, r *request) *refusal {
	switch {
	case r.asked: // the body is not here
		return nil
	case r.length > s.bound && strings.EqualFold(strings.TrimSpace(r.first("Expect")), "100-continue"):
		f := tooLarge("the body that is announced is too large")
		f.status = http.StatusExpectationFailed
		return f
	case r.length > s.bound:
		return tooLarge("the body is too large")
	case r.length < 0 && s.required:
		return document(http.StatusLengthRequired, "A valid Content-Length header is required", "the body has no stated length")
	}
	r.atMost = s.bound
	return nil
}

func tooLarge(reason string) *refusal {
	return document(http.StatusRequestEntityTooLarge, "Request size limit exceeded", reason)
}
