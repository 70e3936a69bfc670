package bot

import (
	"context"
	"time"
)

// turns is the part of the store that says whose turn it is. A lease is known by the
// turn's Attempt: whoever leases it next has a higher one, and the one before may
// neither extend nor end the lease any more.
type turns interface {
	// LeaseTurns takes up to limit turns of b that are due, oldest first, and keeps
	// them from others until the time given. Of a conversation it takes the oldest
	// unfinished turn, or none while that one is leased or not due.
	LeaseTurns(ctx context.Context, b ID, now, until time.Time, limit int) ([]Turn, error)
	// ExtendTurn is false if the lease is another's by now, or the turn has ended.
	ExtendTurn(ctx context.Context, t Turn, until time.Time) (bool, error)
	// RetryTurn gives the lease back and makes the turn due at the time given. Without
	// effect if the lease is another's by now.
	RetryTurn(ctx context.Context, t Turn, at time.Time) error
}

// replies is where answers go. Each of them ends the turn in the commit that holds
// the answer, and does nothing if the turn had ended before.
type replies interface {
	Reply(ctx context.Context, t Turn, a Answer) error
	// GiveUp tells the user that there will be no answer, and keeps the turn with the
	// reason among the dead ones.
	GiveUp(ctx context.Context, t Turn, reason string) error
	// Stream shows a part of an answer that is being made. It is not kept.
	Stream(ctx context.Context, t Turn, d Delta)
	// Typing shows that an answer is being made.
	Typing(ctx context.Context, t Turn)
}
