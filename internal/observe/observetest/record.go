package observetest

import (
	"context"
	"slices"
	"strings"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/carnetproject/carnet/internal/trace"
)

// Record has what is done under the context that it returns recorded, and told by
// recorded: a line for each span that has ended, "name key=value key=value !" with keys in
// order and a mark if it failed.
func Record(ctx context.Context) (traced context.Context, recorded func() []string) {
	r := tracetest.NewSpanRecorder()
	ctx = trace.With(ctx, sdk.NewTracerProvider(sdk.WithSpanProcessor(r)).Tracer("test"))
	return ctx, func() (lines []string) {
		for _, s := range r.Ended() {
			var words []string
			for _, a := range s.Attributes() {
				if a.Key != "error.type" {
					words = append(words, string(a.Key)+"="+a.Value.String())
				}
			}
			slices.Sort(words)
			if s.Status().Code != 0 {
				words = append(words, "!")
			}
			lines = append(lines, strings.Join(append([]string{s.Name()}, words...), " "))
		}
		return lines
	}
}
