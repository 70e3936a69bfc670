package securesession

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/observe/observetest"
	"github.com/carnetproject/carnet/internal/trace"
)

// TestDecisionsAreTraced has traces tell what was decided about messages, and what was
// asked for that.
func TestDecisionsAreTraced(t *testing.T) {
	t.Parallel()
	const allow, deny = "secure session carnet.bot=teller carnet.result=allow", "secure session carnet.bot=teller carnet.reason=unauthorized carnet.result=deny"
	for name, tc := range map[string]struct {
		tokens []string
		want   []string
	}{
		"asked, then known": {[]string{"good", "good"}, []string{
			"authorizer call carnet.connector=ask-bank carnet.outcome=2xx", allow + " carnet.source=call", allow + " carnet.source=cache",
		}},
		"no": {[]string{"bad"}, []string{
			"authorizer call carnet.connector=ask-bank carnet.outcome=4xx", deny + " carnet.source=call",
		}},
		"nobody answers": {[]string{"odd"}, []string{
			"authorizer call carnet.connector=ask-bank carnet.outcome=5xx !",
			"secure session carnet.bot=teller carnet.reason=temporarily_unavailable carnet.result=fail carnet.source=call",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, newShelf(), "n1", nil)
				ctx, recorded := observetest.Record(t.Context())
				stop := b.serve(ctx, t)
				synctest.Wait()
				message, _ := trace.Start(ctx, "message")
				for _, token := range tc.tokens {
					_ = b.Admit(message, ask(token))
				}
				stop()
				if diff := cmp.Diff(tc.want, recorded()); diff != "" {
					t.Errorf("spans (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestTraceOfWhoDoesNotWait ends the span of a message whose sender has gone, and of one
// that the node's stop finds waiting.
func TestTraceOfWhoDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newShelf(), "n1", nil)
		ctx, recorded := observetest.Record(t.Context())
		stop := b.serve(t.Context(), t)
		synctest.Wait()
		gone, leave := context.WithCancel(ctx)
		first, second := b.Enter(ctx, ask("good")), b.Enter(ctx, ask("good"))
		synctest.Wait()
		leave()
		_ = first.Wait(gone)
		stop()
		_ = second.Wait(ctx)
		want := []string{"secure session", "secure session carnet.bot=teller carnet.reason=temporarily_unavailable carnet.result=fail"}
		if diff := cmp.Diff(want, recorded()); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
	})
}
