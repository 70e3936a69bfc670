package bot

import (
	"errors"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// Policy is how the turns of one bot are worked on. What is zero is as [RunnerConfig]
// has it.
type Policy struct {
	Workers  int
	Attempts int
	GiveUp   time.Duration
	Timeout  time.Duration
	Hooks    []Kind // those that the bot is called for; others end without a word
}

// with is c as p wants it.
func (c RunnerConfig) with(p Policy) RunnerConfig {
	if p.Workers != 0 {
		c.Workers = p.Workers
	}
	if p.Attempts != 0 {
		c.Attempts = p.Attempts
	}
	if p.GiveUp != 0 {
		c.GiveUp = p.GiveUp
	}
	if p.Timeout != 0 {
		c.Timeout = p.Timeout
	}
	return c
}

// CallError is a call that failed, and what to do about it. Other errors are worth
// another try.
type CallError struct {
	Final bool          // the same call would fail again
	After time.Duration // how long the bot wants to be left alone; bounded by maxAfter
	Err   error         // without secrets: it is logged, and kept with the dead turn
}

// Error is why the call failed.
func (e *CallError) Error() string { return e.Err.Error() }

// Unwrap is why the call failed.
func (e *CallError) Unwrap() error { return e.Err }

// maxAfter bounds what a bot can ask for with Retry-After.
const maxAfter = 2 * time.Minute

// judge tells whether another try is of no use, and how long to wait for it at least.
// An answer that cannot be kept would be none the next time either.
func judge(err error) (final bool, wait time.Duration) {
	if e, ok := errors.AsType[*CallError](err); ok {
		return e.Final, min(max(e.After, 0), maxAfter)
	}
	kind := fault.KindOf(err)
	return kind == fault.Invalid || kind == fault.TooLarge, 0
}

// maxReason bounds what is kept of an error, in bytes.
const maxReason = 500

// reason is an error as it is kept with a turn that was given up.
func reason(err error) string {
	text := strings.ToValidUTF8(err.Error(), "�")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
