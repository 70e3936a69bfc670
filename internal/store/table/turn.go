package table

import (
	"database/sql"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// Faults of conversations, alike in every store.
var (
	ErrNoConversation = fault.New(fault.NotFound, "no such conversation")
	ErrNoMessage      = fault.New(fault.NotFound, "no such message")
)

// ErrNoDead is the fault of a turn that is not among those given up.
func ErrNoDead(id int64) error {
	return fault.Newf(fault.NotFound, "there is no turn %d that was given up", id)
}

// The columns that the functions below read, of tables under the names c (conversations),
// m (messages), t (turns) and d (dead_turns).
const (
	MessageColumns = `seq, id, sender, body, at`
	TurnColumns    = `t.seq, t.attempt, c.id, c.bot, c.issuer, c.subject, c.context, c.created, m.id, m.body, m.at, t.again, t.hook, t.hook_at`
	DeadColumns    = `d.seq, d.attempts, c.id, c.bot, c.issuer, c.subject, c.context, c.created, m.id, m.body, m.at, CAST(NULL AS BIGINT),
		d.hook, d.hook_at, d.id, d.reason, d.at`
)

// ScanConversation reads id, bot, issuer, subject, context, owned, read_seq, created, moves
// and the number of the newest message.
func (c Contexts) ScanConversation(r Rows) (found chat.Conversation, err error) {
	err = r.Scan((*string)(&found.ID), (*string)(&found.Bot), &found.User.Issuer, &found.User.Subject,
		c.Column((*string)(&found.ID), &found.Context), (*List[string])(&found.Owned), &found.ReadSeq, (*Stamp)(&found.Created),
		&found.Moves, &found.LastSeq)
	return found, err
}

// ScanMessage reads [MessageColumns].
func ScanMessage(r Rows) (m chat.Message, err error) {
	err = r.Scan(&m.Seq, &m.ID, (*string)(&m.From), (*Document)(&m.Body), (*Stamp)(&m.At))
	return m, err
}

// ScanTurn reads [TurnColumns].
func (c Contexts) ScanTurn(r Rows) (t bot.Turn, err error) {
	var messageID sql.NullString
	var began, at, happened Stamp
	var hook bot.Kind
	err = r.Scan(&t.Seq, &t.Attempt, &t.Conversation, (*string)(&t.Bot), &t.User.Issuer, &t.User.Subject,
		c.Column(&t.Conversation, &t.Context), &began, &messageID, (*Document)(&t.Body), &at, (*Stamp)(&t.Again),
		(*string)(&hook), &happened)
	switch {
	case hook != "":
		t.Kind, t.At = hook, time.Time(happened)
		t.MessageID = bot.HookID(hook, t.At)
	case t.Seq == 0:
		t.Kind, t.MessageID, t.At = bot.Welcome, string(bot.Welcome), time.Time(began)
	default:
		t.Kind, t.MessageID, t.At = bot.Message, messageID.String, time.Time(at)
	}
	return t, err
}

// ScanDead reads [DeadColumns].
func (c Contexts) ScanDead(r Rows) (d bot.Dead, err error) {
	d.Turn, err = c.ScanTurn(Longer(r, &d.ID, &d.Reason, (*Stamp)(&d.Since)))
	return d, err
}

// HookAt is the column hook_at of a turn.
func HookAt(t bot.Turn) int64 {
	if !t.Kind.Hook() {
		return 0
	}
	return t.At.UnixMilli()
}

// HookOf is the column hook of a turn.
func HookOf(t bot.Turn) string {
	if !t.Kind.Hook() {
		return ""
	}
	return string(t.Kind)
}

// Longer are rows that have more columns than their reader asks for.
func Longer(r Rows, behind ...any) Rows { return longer{r, behind} }

type longer struct {
	Rows
	behind []any
}

// Scan reads the columns asked for, and those behind them.
func (l longer) Scan(into ...any) error { return l.Rows.Scan(append(into, l.behind...)...) }
