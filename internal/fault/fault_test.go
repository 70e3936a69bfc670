package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestEveryKindHasAnOutcome(t *testing.T) {
	t.Parallel()
	codes := map[string]Kind{}
	for k := Kind(0); k < numKinds; k++ {
		if k.Status() < 400 || k.Status() > 599 {
			t.Errorf("kind %d: status %d is not an error", k, k.Status())
		}
		if k.ExitCode() < 1 {
			t.Errorf("kind %d: exit code %d would mean success", k, k.ExitCode())
		}
		if k.String() == "" {
			t.Errorf("kind %d has no code", k)
		}
		if other, taken := codes[k.String()]; taken {
			t.Errorf("kinds %d and %d share the code %q", k, other, k)
		}
		codes[k.String()] = k
	}
}

func TestPublicHidesTheCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial 10.0.0.7: refused")
	for name, tc := range map[string]struct {
		err  error
		want Error
	}{
		"unclassified": {cause, Error{Kind: Internal, Msg: "internal error"}},
		"internal":     {Wrap(Internal, "row 7 of keys", cause), Error{Kind: Internal, Msg: "internal error"}},
		"wrapped":      {fmt.Errorf("find app: %w", Wrap(Unavailable, "try again", cause)), Error{Kind: Unavailable, Msg: "try again"}},
		"own code":     {&Error{Kind: Conflict, Code: "ended", Msg: "over", Err: cause}, Error{Kind: Conflict, Code: "ended", Msg: "over"}},
		"field":        {BadField("identity", "must not be empty"), Error{Kind: Invalid, Field: "identity", Msg: "must not be empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Public(tc.err); got != tc.want {
				t.Errorf("Public() = %+v, want %+v", got, tc.want)
			}
		})
	}
}
