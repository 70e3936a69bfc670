package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// ledger is what a test knows of the turns of a bot while many work on them.
type ledger struct {
	t *testing.T
	s Store

	mu    sync.Mutex
	clock time.Time
	owed  int               // turns that have not ended
	held  map[string]string // by conversation, the turn that is leased
}

func (l *ledger) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = l.clock.Add(time.Second)
	return l.clock
}

// owe counts turns in, or with less than 0 out.
func (l *ledger) owe(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed += n
}

// take notes turns that were leased: of a conversation one at a time.
func (l *ledger) take(turns ...bot.Turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, name := range names(turns) {
		in := turns[i].Conversation
		if other := l.held[in]; other != "" {
			l.t.Errorf("%s is leased beside %s", name, other)
		}
		l.held[in] = name
	}
}

func (l *ledger) release(turn bot.Turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, turn.Conversation)
}

// forLong is a lease that does not run out in a test.
const forLong = 24 * time.Hour

// append says something new, or something old, or both.
func (l *ledger) append(ctx context.Context, r *rand.Rand, id chat.ID, mine *[]string) error {
	fresh := []string{fmt.Sprintf("m%d-%d", r.Uint64(), len(*mine))}
	drafts := []chat.Draft{userDraft(fresh[0]), botDraft("by-" + fresh[0])}
	if n := len(*mine); n > 0 && r.IntN(2) == 0 {
		drafts = append(drafts, userDraft((*mine)[r.IntN(n)]), userDraft(fresh[0]))
	}
	now, until := l.now(), time.Time{}
	if r.IntN(2) == 0 {
		until = now.Add(forLong)
	}
	if r.IntN(8) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	_, turn, err := l.s.AppendMessages(ctx, id, drafts, now, until)
	if ctx.Err() != nil && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	*mine = append(*mine, fresh...)
	l.owe(1)
	if turn != nil {
		l.take(*turn)
		return l.work(ctx, r, *turn)
	}
	return nil
}

func (l *ledger) lease(ctx context.Context, r *rand.Rand) error {
	now := l.now()
	turns, err := l.s.LeaseTurns(ctx, "echo", now, now.Add(forLong), 1+r.IntN(3))
	l.take(turns...)
	for _, turn := range turns {
		if err := l.work(ctx, r, turn); err != nil {
			return err
		}
	}
	return err
}

// work does with a leased turn what workers do.
func (l *ledger) work(ctx context.Context, r *rand.Rand, turn bot.Turn) (err error) {
	ended, now := false, l.now()
	reply := []chat.Draft{botDraft(fmt.Sprintf("to-%d-%d", turn.Seq, turn.At.UnixMilli()))}
	huge := json.RawMessage(`{"x":"` + strings.Repeat("x", chat.MaxContext) + `"}`)
	what := r.IntN(8)
	if what == 0 {
		if _, _, err = l.s.FinishTurn(ctx, turn, reply, huge, now); fault.KindOf(err) != fault.TooLarge {
			return fmt.Errorf("answer with a huge context: %w", err)
		}
	}
	l.release(turn)
	switch what {
	case 0, 1:
		return l.s.RetryTurn(ctx, turn, now)
	case 2, 3:
		_, ended, err = l.s.DropTurn(ctx, turn, "no reason", reply, now)
	default:
		if _, ended, err = l.s.FinishTurn(ctx, turn, reply, json.RawMessage(`{"a":1}`), now); err == nil && what == 4 {
			if _, again, err := l.s.FinishTurn(ctx, turn, reply, nil, now); again || err != nil {
				return fmt.Errorf("a turn ended twice (%t): %w", again, err)
			}
		}
	}
	if err == nil && !ended {
		err = fmt.Errorf("turn %s/%d had ended before", turn.Conversation, turn.Seq)
	}
	if err == nil {
		l.owe(-1)
	}
	return err
}

// revive puts a turn back that was given up, or drops it.
func (l *ledger) revive(ctx context.Context, r *rand.Rand) error {
	all, err := l.s.DeadTurns(ctx, "", 0, 10)
	if err != nil || len(all) == 0 {
		return err
	}
	id := all[r.IntN(len(all))].ID
	if r.IntN(4) == 0 {
		err = l.s.DropDead(ctx, id)
	} else if err = l.s.RetryDead(ctx, id, l.now()); err == nil {
		l.owe(1)
	}
	if fault.KindOf(err) == fault.NotFound { // another was faster
		return nil
	}
	return err
}

// presence has a user seen, or found to be away.
func (l *ledger) presence(ctx context.Context, r *rand.Rand, id chat.ID) error {
	if r.IntN(2) == 0 {
		return l.s.Saw(ctx, []chat.ID{id}, l.now())
	}
	hook, away := bot.Offline, 30*time.Second+time.Millisecond
	if r.IntN(3) == 0 {
		hook, away = bot.Ended, time.Minute
	}
	n, err := l.s.Lapse(ctx, "echo", hook, away, l.now().Add(away), 2)
	l.owe(n)
	return err
}

// testTurnsAddUp has many do all that there is to do with turns, at once and in any order:
// of a conversation one turn is worked on at a time, and none is lost or counted twice.
func testTurnsAddUp(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	l := &ledger{t: t, s: s, clock: epoch, held: map[string]string{}}
	ids := []chat.ID{"cnv_1", "cnv_2", "cnv_3"}
	for _, id := range ids {
		must(t, s.AddConversation(ctx, sampleConversation(id), true))
		l.owe(1)
	}
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			mine := map[chat.ID]*[]string{}
			for range 60 {
				id := ids[r.IntN(len(ids))]
				if mine[id] == nil {
					mine[id] = new([]string)
				}
				err := []func() error{
					func() error { return l.append(ctx, r, id, mine[id]) },
					func() error { return l.lease(ctx, r) },
					func() error { return l.lease(ctx, r) },
					func() error { return l.revive(ctx, r) },
					func() error { return l.presence(ctx, r, id) },
				}[r.IntN(5)]()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	waiting, err := s.WaitingTurns(ctx)
	must(t, err)
	if got := int(waiting["echo"]); got != l.owed {
		t.Errorf("%d turns wait, want %d", got, l.owed)
	}
	rest := finishAll(t, s, "echo")
	if len(rest) != l.owed {
		t.Errorf("%d turns were left to do, want %d: %v", len(rest), l.owed, names(rest))
	}
	for _, id := range ids {
		if turn := ask(t, s, id, userDraft("last")); turn == nil {
			t.Errorf("%s: a turn is thought to wait", id)
		}
		if ms := history(t, s, id); !slices.IsSortedFunc(ms, func(a, b chat.Message) int { return int(a.Seq - b.Seq) }) || ms[len(ms)-1].Seq != int64(len(ms)) {
			t.Errorf("%s: %d messages end with %d", id, len(ms), ms[len(ms)-1].Seq)
		}
	}
}
