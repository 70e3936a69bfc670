package observe

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/securesession"
)

func TestSecureSessions(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	s := m.SecureSessions(func() securesession.Stats {
		return securesession.Stats{Sessions: [4]int{securesession.Denied: 7}, Calls: 2, Waiting: 3}
	})
	k := securesession.Key{Bot: "teller", Conversation: "cnv_1"}
	for _, d := range []securesession.Decision{
		{Key: k, Message: "m1", Source: securesession.ByCall},
		{Key: k, Message: "m2", Source: securesession.ByGrace},
		{Key: k, Message: "m3", Source: securesession.ByCall, Reason: securesession.Unauthorized},
		{Key: k, Message: "m4", Source: securesession.ByBreaker, Reason: securesession.Unavailable},
	} {
		s.Decided(d)
	}
	w := httptest.NewRecorder()
	m.Exposition().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`carnet_securesession_decisions_total{bot="teller",reason="",result="allow",source="call"} 1`,
		`carnet_securesession_decisions_total{bot="teller",reason="",result="allow",source="grace"} 1`,
		`carnet_securesession_decisions_total{bot="teller",reason="unauthorized",result="deny",source="call"} 1`,
		`carnet_securesession_decisions_total{bot="teller",reason="temporarily_unavailable",result="fail",source="breaker"} 1`,
		`carnet_securesession_blocked_messages_total{bot="teller",reason="unauthorized"} 1`,
		`carnet_securesession_grace_allowed_total 1`,
		`carnet_securesession_sessions{state="denied"} 7`,
		`carnet_securesession_sessions{state="allowed"} 0`,
		`carnet_securesession_inflight 2`,
		`carnet_securesession_waiters 3`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(text, "cnv_1") || strings.Contains(text, "m1") {
		t.Error("the metrics name a conversation or a message")
	}
}
