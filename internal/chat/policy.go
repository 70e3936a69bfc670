package chat

import (
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// Policy is how conversations with one bot live, and how much of them it can take. Every
// zero value has a default.
type Policy struct {
	// Lifetime is how old a conversation becomes; the default is no end. Who speaks in one
	// that has ended is refused, and who connects goes on in the next.
	Lifetime time.Duration
	// Hooks has the bot told of [bot.Offline] and [bot.Ended].
	Hooks bool
	// SessionTimeout is how long after the last connection a session has ended; default
	// 30 min.
	SessionTimeout time.Duration
	// Waiting is how many messages may wait for their answers, in all, before more are
	// refused; default 2048. It is exact as far as this node has taken them.
	Waiting int
	Rate    limit.Rate // messages to the bot that this node takes; zero: no limit
}
