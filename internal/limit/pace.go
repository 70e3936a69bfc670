package limit

import "time"

// Pace bounds how fast the events of one source come, in the memory of one number. The
// zero Pace has let none pass. Not safe for concurrent use.
type Pace struct{ due time.Duration } // when what has passed is worked off

// Allow tells whether an event may pass at a time, given as the age of something: one in
// each span of every, and burst of them at once.
func (p *Pace) Allow(at, every time.Duration, burst int) bool {
	due := max(p.due, at) + every
	if due-at > time.Duration(burst)*every {
		return false
	}
	p.due = due
	return true
}
