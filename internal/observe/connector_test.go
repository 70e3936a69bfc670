package observe

import (
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
)

func TestMetricsConnectors(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	failed := func(status int, code connector.Code) connector.Result {
		return connector.Result{Status: status, Duration: 300 * time.Millisecond, Err: &connector.Error{Code: code}}
	}
	m.ConnectorCalled("verify", connector.Result{Status: 200, Duration: 20 * time.Millisecond}, false)
	for _, r := range []connector.Result{
		failed(403, connector.HTTPError), failed(503, connector.HTTPError), failed(302, connector.RedirectRefused),
		failed(200, connector.ResponseTooLarge), failed(200, connector.ResponseInvalid), failed(0, connector.Timeout),
		failed(0, connector.DNSError), failed(0, connector.ConnectError), failed(0, connector.TLSError),
		failed(0, connector.MappingError), failed(0, connector.SecretError), failed(0, connector.SSRFBlocked),
		failed(0, connector.Restricted), failed(0, connector.BreakerOpen), failed(0, "new"),
	} {
		m.ConnectorCalled("verify", r, r.Err.Code == "new")
	}
	m.ConnectorCalled("other", connector.Result{Status: 204}, false)
	m.RestrictionsFailed()
	text := scrape(t, m)
	for _, class := range []string{
		"2xx", "4xx", "5xx", "redirect", "too_large", "invalid", "timeout", "dns", "connect", "tls", "mapping", "secret", "ssrf",
		"restricted", "breaker", "other",
	} {
		wantLines(t, text, `carnet_securesession_authorizer_requests_total{class="`+class+`",connector="verify"} 1`)
	}
	wantLines(t, text,
		`carnet_securesession_authorizer_requests_total{class="2xx",connector="other"} 1`,
		`carnet_securesession_authorizer_duration_seconds_count{connector="verify"} 11`,
		`carnet_securesession_authorizer_duration_seconds_bucket{connector="verify",le="0.025"} 1`,
		`carnet_securesession_breaker_state{connector="verify"} 1`,
		`carnet_securesession_breaker_state{connector="other"} 0`,
		`carnet_restrictions_failed_total 1`)
}
