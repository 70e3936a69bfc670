package connector

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/carnetproject/carnet/internal/egress"
)

// judge tells what a status means; nil if it is 2xx.
func judge(resp *http.Response, now time.Time) *Error {
	status := resp.StatusCode
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status >= 300 && status <= 399:
		return &Error{Code: RedirectRefused, Message: fmt.Sprintf("the API answers %d: redirects are not followed", status)}
	}
	e := &Error{Code: HTTPError, Message: fmt.Sprintf("the API answers %d", status)}
	if e.Temporary = status >= 400 && !Refusal(status); e.Temporary {
		e.RetryAfter = min(egress.RetryAfter(resp.Header, now), maxRetryAfter)
	}
	return e
}

// classify tells what the failure of a call without a whole answer means. Texts of the
// HTTP client are not passed on: they repeat what was sent, and what was answered.
func classify(err error) *Error {
	var (
		refused *egress.RefusedError
		own     *Error
		dns     *net.DNSError
		errno   syscall.Errno
	)
	err = egress.WithoutURL(err)
	text := err.Error()
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &refused):
		return &Error{Code: SSRFBlocked, Message: refused.Error()}
	case isTimeout(err):
		return &Error{Code: Timeout, Message: "no whole answer in time", Temporary: true}
	case errors.Is(err, context.Canceled):
		return &Error{Code: Timeout, Message: "the caller did not wait", Temporary: true}
	case errors.As(err, &dns):
		return &Error{Code: DNSError, Message: "the host's name cannot be resolved", Temporary: dns.IsTemporary || !dns.IsNotFound}
	case errors.Is(err, egress.ErrTooLarge):
		return &Error{Code: ResponseTooLarge, Message: fmt.Sprintf("the answer has more than %d bytes", maxAnswer)}
	case strings.Contains(text, "response headers exceeded"), strings.Contains(text, "header list too large"):
		return &Error{Code: ResponseTooLarge, Message: "the header of the answer is too large"}
	case strings.Contains(text, "server gave HTTP response to HTTPS"):
		return &Error{Code: TLSError, Message: "the API does not speak TLS"}
	case isTLS(err):
		return &Error{Code: TLSError, Message: tlsReason(err)}
	case strings.Contains(text, "malformed"), strings.Contains(text, "invalid header"):
		return &Error{Code: ResponseInvalid, Message: "the answer is not HTTP", Temporary: true}
	case errors.As(err, &errno):
		return &Error{Code: ConnectError, Message: errno.Error(), Temporary: true}
	}
	return &Error{Code: ConnectError, Message: "the connection broke", Temporary: true}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func isTLS(err error) bool {
	var (
		record    tls.RecordHeaderError
		alert     tls.AlertError
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &cert) ||
		errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) ||
		strings.Contains(err.Error(), "tls: ")
}

// tlsReason is what an operator needs to set a server's TLS right.
func tlsReason(err error) string {
	var (
		cert  *tls.CertificateVerificationError
		alert tls.AlertError
	)
	switch {
	case errors.As(err, &cert):
		return "the certificate is not accepted: " + cert.Err.Error()
	case errors.As(err, &alert):
		return "the API refuses the handshake: " + alert.Error()
	}
	return "the handshake failed"
}
