package securesession

import "time"

// Event is what a [Machine] is told.
type Event interface{ event() }

// Message wants to pass. ID is unlike that of any other message of the machine.
type Message struct {
	ID      uint64
	Policy  *Policy // in force for it to its end
	Print   Print
	Missing bool // the context lacks what the authorizer is to be asked with
	Stopped bool // the bot takes no messages
}

// Leave says that nobody waits for a message's answer any more.
type Leave struct{ ID uint64 }

// Leased is the outcome of [Acquire].
type Leased struct {
	Flight    uint64
	Elsewhere bool   // another node has the lease
	Record    Record // of the store
	Unread    bool   // the store could not be asked
}

// Answered is the outcome of [Call].
type Answered struct {
	Flight uint64
	Answer Answer
}

// Saved is the outcome of [Save] for a flight. An error of the store is no loss.
type Saved struct {
	Flight uint64
	Lost   bool   // a newer record is there, and stays
	Stands Record // if lost: that record
}

// End says that the conversation is over.
type End struct{}

func (Message) event()  {}
func (Leave) event()    {}
func (Leased) event()   {}
func (Answered) event() {}
func (Saved) event()    {}
func (End) event()      {}

// Action is what a [Machine] wants to be done.
type Action interface{ action() }

// Pass lets a message in.
type Pass struct {
	ID     uint64
	Source Source
}

// Block refuses a message.
type Block struct {
	ID         uint64
	Reason     Reason
	Source     Source
	RetryAfter time.Duration // zero: at no known time
}

// Tell shows the conversation's user where they stand.
type Tell struct {
	Standing   Standing
	Reason     Reason
	RetryAfter time.Duration
}

// Acquire asks for the conversation's lease, and then reads its record; not before some
// time has passed. [Leased] is the outcome.
type Acquire struct {
	Flight uint64
	Policy *Policy // for its Lease
	After  time.Duration
}

// Call asks the authorizer, with the context that a message came with. [Answered] is
// the outcome.
type Call struct {
	Flight  uint64
	Message uint64
}

// Save writes a record unless a newer one is there, and gives the lease back. [Saved] is
// the outcome; without a flight, nobody waits for it.
type Save struct {
	Flight uint64
	Policy *Policy // for its Keep
	Record Record
}

// Release gives the lease back.
type Release struct{}

// Delete removes the record and the lease.
type Delete struct{}

func (Pass) action()    {}
func (Block) action()   {}
func (Tell) action()    {}
func (Acquire) action() {}
func (Call) action()    {}
func (Save) action()    {}
func (Release) action() {}
func (Delete) action()  {}
