package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// book keeps turns and answers as a store and an engine do.
type book struct {
	mu    sync.Mutex
	order []string // of conversations
	turns map[string][]Turn
	ready map[string]time.Time // when the oldest turn of the conversation may be leased
	said  []string
	down  error         // what every use answers, if set
	lag   time.Duration // how long LeaseTurns takes
	looks int           // calls of LeaseTurns
	seqs  int64

	reasons []string // of the turns that were given up
}

func newBook() *book { return &book{turns: map[string][]Turn{}, ready: map[string]time.Time{}} }

// add commits a turn of a message to a bot.
func (b *book) add(conversation string, of ID, text string) {
	b.addLeased(conversation, of, text, time.Time{})
}

// addLeased commits a turn, as leased until the time given if that is not zero and no
// older turn of the conversation waits. Then it is returned.
func (b *book) addLeased(conversation string, of ID, text string, until time.Time) *Turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seqs++
	if b.turns[conversation] == nil {
		b.order = append(b.order, conversation)
	}
	t := Turn{
		Conversation: conversation, Seq: b.seqs, Bot: of, Kind: Message, MessageID: text,
		Body: json.RawMessage(fmt.Sprintf(`{"text":%q}`, text)), At: time.Now(),
	}
	leased := len(b.turns[conversation]) == 0 && !until.IsZero()
	if leased {
		t.Attempt, b.ready[conversation] = 1, until
	}
	b.turns[conversation] = append(b.turns[conversation], t)
	if !leased {
		return nil
	}
	return &t
}

// ask commits a turn as an engine does: leased to a worker of the runner's, if one is
// free.
func (b *book) ask(r *Runner, conversation string, of ID, text string) {
	w := r.Hire(of)
	turn := b.addLeased(conversation, of, text, w.Until())
	w.Answer(turn)
	if turn == nil {
		r.Wake(of)
	}
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = err
}

// steal leases the oldest turn of the conversation to another node.
func (b *book) steal(conversation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turns[conversation][0].Attempt++
	b.ready[conversation] = time.Now().Add(time.Hour)
}

func (b *book) LeaseTurns(ctx context.Context, of ID, now, until time.Time, limit int) ([]Turn, error) {
	if err := pause(ctx, b.lag); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	if b.down != nil || ctx.Err() != nil {
		return nil, why(ctx, b.down)
	}
	var leased []Turn
	for _, c := range b.order {
		open := b.turns[c]
		if len(open) == 0 || open[0].Bot != of || now.Before(b.ready[c]) || len(leased) == limit {
			continue
		}
		open[0].Attempt++
		b.ready[c] = until
		leased = append(leased, open[0])
	}
	return leased, nil
}

// why a use fails.
func why(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (b *book) ExtendTurn(ctx context.Context, t Turn, until time.Time) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil || ctx.Err() != nil {
		return false, why(ctx, b.down)
	}
	open := b.turns[t.Conversation]
	held := len(open) > 0 && open[0].Seq == t.Seq && open[0].Attempt == t.Attempt
	if held {
		b.ready[t.Conversation] = until
	}
	return held, nil
}

func (b *book) RetryTurn(ctx context.Context, t Turn, at time.Time) error {
	_, err := b.ExtendTurn(ctx, t, at)
	return err
}

func (b *book) Reply(ctx context.Context, t Turn, a Answer) error {
	words := "nothing"
	if len(a.Replies) > 0 {
		words = string(a.Replies[0].Body)
	}
	return b.end(ctx, t, words)
}

func (b *book) GiveUp(ctx context.Context, t Turn, reason string) error {
	b.mu.Lock()
	b.reasons = append(b.reasons, reason)
	b.mu.Unlock()
	return b.end(ctx, t, "given up")
}

func (b *book) Stream(_ context.Context, t Turn, d Delta) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, t.Conversation+" delta "+d.Text)
}

func (b *book) end(ctx context.Context, t Turn, words string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil || ctx.Err() != nil {
		return why(ctx, b.down)
	}
	n := len(b.turns[t.Conversation])
	b.turns[t.Conversation] = slices.DeleteFunc(b.turns[t.Conversation], func(o Turn) bool { return o.Seq == t.Seq })
	if len(b.turns[t.Conversation]) < n {
		b.ready[t.Conversation] = time.Time{}
		b.said = append(b.said, fmt.Sprintf("%s %s: %s", t.Conversation, t.MessageID, words))
	}
	return nil
}

func (b *book) Typing(_ context.Context, t Turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, t.Conversation+" typing")
}

// want waits until all is at rest and compares what was said since it was asked last.
func (b *book) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(want, b.said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	b.said = nil
}

func (b *book) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said[len(b.said)-1]
}

// due is how long the conversation's oldest turn waits yet.
func (b *book) due(conversation string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.ready[conversation])
}

// attempt is that of the conversation's oldest turn.
func (b *book) attempt(conversation string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turns[conversation][0].Attempt
}

// waiting is how many turns of the conversation have not ended.
func (b *book) waiting(conversation string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.turns[conversation])
}

// bots are entries without a policy.
type bots map[ID]Bot

func (b bots) registry() Registry {
	r := Registry{}
	for id, made := range b {
		r[id] = &Entry{Bot: made}
	}
	return r
}

// run starts a runner in the bubble of the test; stop ends it and waits.
func run(t *testing.T, b *book, bots bots, edits ...func(*RunnerConfig)) (r *Runner, stop func()) {
	t.Helper()
	c := RunnerConfig{Bots: bots.registry(), Turns: b, Replies: b, Log: slog.New(slog.DiscardHandler)}
	for _, edit := range edits {
		edit(&c)
	}
	r, err := NewRunner(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return r, stop
}

// botFunc is a bot of one function.
type botFunc func(ctx context.Context, t Turn) (Answer, error)

func (f botFunc) Answer(ctx context.Context, t Turn) (Answer, error) { return f(ctx, t) }

// slow answers "done" after d.
func slow(d time.Duration) botFunc {
	return func(ctx context.Context, _ Turn) (Answer, error) {
		if err := pause(ctx, d); err != nil {
			return Answer{}, err
		}
		return Answer{Replies: []Reply{{Body: json.RawMessage(`done`)}}}, nil
	}
}

// pause waits for d, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// after lets so much time pass in the bubble.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	if err := pause(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}
