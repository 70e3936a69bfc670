package audit

import "time"

// Query chooses entries. Its zero members choose all.
type Query struct {
	After        int64 // only entries of greater ids
	Since, Until time.Time
	Actor        string // name of the actor, or its kind
	Actions      []Action
	Object       string
	Outcome      Outcome
	Limit        int
	// First chooses the first of those that match, and not the last. Whichever they are,
	// they come in the order in which they were written.
	First bool
}

// MaxPage is the most entries that one query returns.
const MaxPage = 10000
