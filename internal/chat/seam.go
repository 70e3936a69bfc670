package chat

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/securesession"
)

// conversations is the part of the store that knows which there are.
type conversations interface {
	// FindConversation answers fault.NotFound if there is none.
	FindConversation(ctx context.Context, id ID) (Conversation, error)
	// CurrentConversation is the newest of the user with the bot; fault.NotFound if none.
	CurrentConversation(ctx context.Context, u User, b bot.ID) (Conversation, error)
	// AddConversation commits c, and the bot's turn to welcome its user if asked.
	AddConversation(ctx context.Context, c Conversation, welcome bool) error
	// NextConversation commits c, with that turn, if after is the user's newest with the
	// bot ("": there is none), and returns it. Else it returns the newest.
	NextConversation(ctx context.Context, c Conversation, after ID) (Conversation, error)
	// Stands leaves out conversations that are not there.
	Stands(ctx context.Context, ids []ID) (map[ID]Stand, error)
	// MoveConversations makes all conversations of from those of to in one commit. It
	// returns Conversation.Moves of each.
	MoveConversations(ctx context.Context, from, to User) (map[ID]int64, error)
}

// marks is the part of the store that notes what a conversation has beside messages.
type marks interface {
	// MergeContext does what Conversation.Merge does, to the context as it is then.
	MergeContext(ctx context.Context, id ID, set json.RawMessage, by Author) error
	// SetRead moves the mark of what the user has read, never backwards.
	SetRead(ctx context.Context, id ID, seq int64) error
}

// messages is the part of the store that holds what was said.
type messages interface {
	// AppendMessages commits the drafts in their order, each with a turn for the bot,
	// and returns a message for each. A draft whose ID is there already yields the
	// message that is there, and no turn. If until is not zero and the conversation had
	// no unfinished turn, the first one is committed as leased until then, and returned.
	AppendMessages(ctx context.Context, id ID, drafts []Draft, at, until time.Time) ([]Message, *bot.Turn, error)
	// FinishTurn commits the drafts, the end of the turn, and what the bot sets of the
	// context (nil: nothing), which may be refused as Conversation.Merge does. False: the
	// turn had ended before, and nothing was written.
	FinishTurn(ctx context.Context, t bot.Turn, drafts []Draft, set json.RawMessage, at time.Time) ([]Message, bool, error)
	// DropTurn is FinishTurn for a turn that is given up, which it keeps with the reason
	// among the dead ones.
	DropTurn(ctx context.Context, t bot.Turn, reason string, drafts []Draft, at time.Time) ([]Message, bool, error)
	// FindMessage answers fault.NotFound if the conversation has no message of the id.
	FindMessage(ctx context.Context, in ID, id string) (Message, error)
	// MessagesBefore and MessagesAfter answer those next to a sequence number, oldest
	// first. Before 0 is before the end.
	MessagesBefore(ctx context.Context, id ID, before int64, limit int) ([]Message, error)
	MessagesAfter(ctx context.Context, id ID, after int64, limit int) ([]Message, error)
}

// presence is the part of the store that notes who is there.
type presence interface {
	// Saw notes that the users of conversations are connected at a time.
	Saw(ctx context.Context, ids []ID, at time.Time) error
	// Lapse commits a turn of the hook for each session with b, at most limit, whose user
	// was connected last at least so long before now, and returns how many those are. An
	// absence has one turn of [bot.Offline], a session one of [bot.Ended].
	Lapse(ctx context.Context, b bot.ID, hook bot.Kind, away time.Duration, now time.Time, limit int) (int, error)
	// WaitingTurns is how many turns of each bot have not ended; none is left out.
	WaitingTurns(ctx context.Context) (map[bot.ID]int64, error)
}

type store interface {
	conversations
	marks
	presence
	messages
}

// bus carries hints between nodes. What it loses costs time only.
type bus interface {
	Publish(ctx context.Context, subject string, data []byte) error
	// Subscribe calls f, which does not block, for each event until cancel has returned.
	Subscribe(subject string, f func(data []byte)) (cancel func())
}

// Gate decides on the messages of users before they are committed. Safe for concurrent
// use; the messages of one conversation are entered one at a time and in order. Its
// methods are called without a lock.
type Gate interface {
	// Guards tells, at once, whether anything is to be asked about a bot.
	Guards(b bot.ID) bool
	// Enter takes a message, and returns at once.
	Enter(ctx context.Context, a Ask) Verdict
	// Protect returns nil to let who asks see what s is about. An error is as that of
	// [Verdict.Wait].
	Protect(ctx context.Context, a Ask, s securesession.Surface) error
	// Standing is what who asks is shown when a session begins; false: nothing.
	Standing(ctx context.Context, a Ask) (securesession.Notice, bool)
	// Forget is told of a conversation that has ended.
	Forget(b bot.ID, id ID)
}

// Ask is a user who wants something of a conversation.
type Ask struct {
	*Conversation            // as it is now
	Message       string     // the id of what is to be let in; "": the user wants to see something
	Addr          netip.Addr // where the user is; the zero Addr: not known
}

// Verdict is what a gate finds about a message.
type Verdict interface {
	// Decided tells whether Wait returns at once.
	Decided() bool
	// Wait returns nil to let the message in. A [fault.Error] is told to who sent it; any
	// other error says only that the message cannot be taken now. It may take its time:
	// nothing waits for it but the conversation's later messages. It is called once.
	Wait(ctx context.Context) error
}
