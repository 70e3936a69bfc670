package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

var epoch = time.UnixMilli(1_900_000_000_000).UTC()

// converse adds conversations cnv_0 to cnv_(n-1).
func converse(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		err := s.AddConversation(t.Context(), chat.Conversation{ID: chat.ID(fmt.Sprint("cnv_", i)), Bot: "echo"}, false)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func draft(id string) []chat.Draft {
	return []chat.Draft{{ID: id, From: chat.FromUser, Body: []byte(`{}`)}}
}

// commitWhole commits one batch of writes that have no savepoints, and returns what
// became of each. The store must not run.
func commitWhole(t *testing.T, s *Store, applies ...func(context.Context, *sql.Tx) error) (outcomes []error) {
	t.Helper()
	var batch []*write
	for _, apply := range applies {
		batch = append(batch, &write{apply: apply, whole: true, done: make(chan error, 1)})
	}
	s.commit(t.Context(), slices.Clone(batch))
	for _, w := range batch {
		outcomes = append(outcomes, <-w.done)
	}
	return outcomes
}

// appending is what AppendMessages hands to the writer. It notes the message's number.
func appending(s *Store, id chat.ID, drafts []chat.Draft, seq *int64) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		w := s.chat.in(ctx, tx)
		p, err := w.find(ctx, id)
		if err != nil {
			return err
		}
		messages, _, err := w.append(ctx, p, drafts, epoch, time.Time{})
		if err == nil {
			*seq = messages[0].Seq
		}
		return err
	}
}

func TestWholeWritesShareATransaction(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for name, tc := range map[string]struct {
		refuse func(context.Context, *sql.Tx) error
		want   error
		alone  bool // whether the others happen in spite of it
	}{
		"a refusal":      {func(context.Context, *sql.Tx) error { return table.ErrNoConversation }, table.ErrNoConversation, true},
		"a broken write": {func(context.Context, *sql.Tx) error { return broken }, broken, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			_, err := s.writer.Exec(`INSERT INTO conversations (id, bot, issuer, subject, context, read_seq) VALUES ('c', '', '', '', '', 0)`)
			if err != nil {
				t.Fatal(err)
			}
			var seq int64
			if err := commitWhole(t, s, appending(s, "c", draft("before"), &seq))[0]; err != nil || seq != 1 {
				t.Fatalf("first message: %d, %v", seq, err)
			}
			got := commitWhole(t, s, appending(s, "c", draft("a"), &seq), tc.refuse, appending(s, "c", draft("b"), &seq))
			if !errors.Is(got[1], tc.want) {
				t.Errorf("the one that fails: %v, want %v", got[1], tc.want)
			}
			if (got[0] == nil) != tc.alone || (got[2] == nil) != tc.alone {
				t.Errorf("the others: %v and %v, want them to succeed: %t", got[0], got[2], tc.alone)
			}
			err = commitWhole(t, s, appending(s, "c", draft("after"), &seq))[0]
			if want := map[bool]int64{true: 4, false: 2}[tc.alone]; err != nil || seq != want {
				t.Errorf("the next message has number %d, %v, want %d", seq, err, want)
			}
			if got, err := s.MessagesAfter(t.Context(), "c", 0, 10); err != nil || int64(len(got)) != seq {
				t.Errorf("%d messages are there, %v, want %d", len(got), err, seq)
			}
		})
	}
}

// TestUndoneTurnsAreForgotten undoes commits that have added a turn and that have ended
// one: what comes next is leased, or waits, as if they had never been.
func TestUndoneTurnsAreForgotten(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.writer.Exec(`INSERT INTO conversations (id, bot, issuer, subject, context, read_seq) VALUES ('c', '', '', '', '', 0)`)
	if err != nil {
		t.Fatal(err)
	}
	var leased bool
	ask := func(id string) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			w := s.chat.in(ctx, tx)
			p, err := w.find(ctx, "c")
			if err != nil {
				return err
			}
			_, turn, err := w.append(ctx, p, draft(id), epoch, epoch.Add(time.Second))
			leased = turn != nil
			return err
		}
	}
	end := func(ctx context.Context, tx *sql.Tx) error {
		w := s.chat.in(ctx, tx)
		p, err := w.find(ctx, "c")
		if err == nil {
			_, err = w.finish(ctx, p, bot.Turn{Seq: 1}, epoch)
		}
		return err
	}
	broken := func(context.Context, *sql.Tx) error { return errors.New("disk on fire") }
	for _, step := range []struct {
		name   string
		writes []func(context.Context, *sql.Tx) error
		leased bool
	}{
		{"a turn that is undone", []func(context.Context, *sql.Tx) error{ask("a"), broken}, true},
		{"after it", []func(context.Context, *sql.Tx) error{ask("b")}, true},
		{"after an end that is undone", []func(context.Context, *sql.Tx) error{end, ask("c"), broken}, true},
		{"behind the turn that has not ended", []func(context.Context, *sql.Tx) error{ask("d")}, false},
	} {
		commitWhole(t, s, step.writes...)
		if leased != step.leased {
			t.Errorf("%s: leased %t, want %t", step.name, leased, step.leased)
		}
	}
}

// TestAnotherProcessAppends lets it move what the writer remembers.
func TestAnotherProcessAppends(t *testing.T) {
	t.Parallel()
	s := open(t)
	run(t, s)
	converse(t, s, 1)
	if _, _, err := s.AppendMessages(t.Context(), "cnv_0", draft("a"), epoch, time.Time{}); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := s.readers.QueryRow(`SELECT file FROM pragma_database_list`).Scan(&path); err != nil {
		t.Fatal(err)
	}
	other, err := connect(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	for i := range int64(3) {
		_, err := other.Exec(`
			INSERT INTO messages (conversation, seq, id, sender, at, body)
			SELECT conversation, seq + 1, id || 'x', 'bot', at, body FROM messages ORDER BY seq DESC LIMIT 1`)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := s.AppendMessages(t.Context(), "cnv_0", draft(fmt.Sprint("b", i)), epoch, time.Time{})
		if want := 3 + 2*i; err != nil || got[0].Seq != want {
			t.Errorf("after the other's message: %v, %v, want number %d", got, err, want)
		}
	}
}

// TestTurnsOfAppendsAreNew however the writer remembers whose a conversation is, and its
// context: a turn that comes with its message has both as they are.
func TestTurnsOfAppendsAreNew(t *testing.T) {
	t.Parallel()
	s := open(t)
	run(t, s)
	converse(t, s, 1)
	c, err := s.FindConversation(t.Context(), "cnv_0")
	if err != nil {
		t.Fatal(err)
	}
	merge := func(set string) func() error {
		return func() error { return s.MergeContext(t.Context(), c.ID, json.RawMessage(set), chat.Page) }
	}
	long := `"` + strings.Repeat("x", shortContext) + `"`
	var last bot.Turn
	for i, step := range []struct {
		name string
		act  func() error
	}{
		{"at first", func() error { return nil }},
		{"short", merge(`{"a":1}`)},
		{"refused", func() error { _ = merge(`{"a":`)(); return nil }},
		{"long", merge(`{"b":` + long + `}`)},
		{"longer", merge(`{"c":` + long + `}`)},
		{"short again", merge(`{"b":null,"c":null}`)},
		{"the bot's", func() error {
			_, _, err := s.FinishTurn(t.Context(), last, nil, json.RawMessage(`{"d":2}`), epoch)
			return err
		}},
		{"another user's", func() error {
			_, err := s.MoveConversations(t.Context(), c.User, chat.User{Issuer: "other", Subject: "bob"})
			return err
		}},
	} {
		if err := step.act(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if last.Seq > 0 {
			if _, _, err := s.FinishTurn(t.Context(), last, nil, nil, epoch); err != nil {
				t.Fatal(err)
			}
		}
		_, turn, err := s.AppendMessages(t.Context(), c.ID, draft(fmt.Sprint("m", i)), epoch, epoch.Add(time.Second))
		if err != nil || turn == nil {
			t.Fatalf("%s: turn %v, %v", step.name, turn, err)
		}
		last = *turn
		now, err := s.FindConversation(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if last.Conversation != string(now.ID) || last.Bot != now.Bot || last.User != now.User || string(last.Context) != string(now.Context) {
			t.Errorf("%s: turn %+v of conversation %+v", step.name, last, now)
		}
	}
}

func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t)
	stop := run(t, s)
	converse(t, s, 2)
	for _, id := range []chat.ID{"cnv_0", "cnv_1", "cnv_0"} {
		if _, _, err := s.AppendMessages(t.Context(), id, draft(fmt.Sprint(len(id))), epoch, time.Time{}); err != nil {
			t.Fatal(err)
		}
		err := s.write(t.Context(), "fill", func(context.Context, *sql.Tx) error {
			for i := 0; len(s.chat.places) < maxPlaces; i++ {
				s.chat.places[chat.ID(fmt.Sprint("old", i))] = &place{}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.AppendMessages(t.Context(), "cnv_1", draft("last"), epoch, time.Time{}); err != nil {
		t.Fatal(err)
	}
	stop()
	if n := len(s.chat.places); n > maxPlaces {
		t.Errorf("%d places are remembered, want at most %d", n, maxPlaces)
	}
}

// TestPlans holds each query to its index: none may read a table through, or sort.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tc := range map[string]struct {
		query string
		args  int
		want  string // the step that decides
	}{
		"place of a conversation": {selectPlace, 1, "SEARCH messages USING COVERING INDEX messages_seq (conversation=?)"},
		"message by id":           {selectMessageByID, 2, "USING INDEX messages_id (conversation=? AND id=?)"},
		"messages before":         {selectMessages + `seq < ? ORDER BY seq DESC LIMIT ?`, 3, "USING INDEX messages_seq (conversation=? AND seq<?)"},
		"messages after":          {selectMessages + `seq > ? ORDER BY seq LIMIT ?`, 3, "USING INDEX messages_seq (conversation=? AND seq>?)"},
		"current conversation":    {selectCurrent, 3, "USING INDEX conversations_user (issuer=? AND subject=? AND bot=?)"},
		"newest numbers":          {selectStands, 1, "SEARCH c USING INDEX sqlite_autoindex_conversations_1 (id=?)"},
		"turns to lease":          {selectReady, 3, "SEARCH t USING INDEX turns_ready (bot=? AND ready<?)"},
		"turns of a conversation": {selectPlace, 1, "SEARCH turns USING PRIMARY KEY (conversation=?)"},
		"a long context":          {selectLong, 1, "SEARCH conversations USING INTEGER PRIMARY KEY (rowid=?)"},
		"the next turn":           {updateNext, 2, "SEARCH turns USING PRIMARY KEY (conversation=? AND seq=? AND hook_at=?)"},
		"the end of a turn":       {deleteTurn, 3, "SEARCH turns USING PRIMARY KEY (conversation=? AND seq=? AND hook_at=?)"},
		"a lease":                 {updateLease, 4, "SEARCH turns USING PRIMARY KEY (conversation=? AND seq=? AND hook_at=?)"},
		"old messages":            {selectOld, 3, "SEARCH messages USING INDEX messages_seq (conversation=?)"},
		"messages that go":        {deleteCut, 2, "SEARCH messages USING INDEX messages_seq (conversation=? AND seq<?)"},
		"turns that go":           {selectCutTurns, 2, "SEARCH turns USING PRIMARY KEY (conversation=? AND seq>? AND seq<?)"},
		"dead turns that go":      {deleteCutDead, 2, "INDEX sqlite_autoindex_dead_turns_1 (conversation=? AND seq>? AND seq<?)"},
		"who is there":            {upsertSeen, 2, "SEARCH c USING INDEX sqlite_autoindex_conversations_1 (id=?)"},
		"who may be away":         {selectLapses, 3, "SEARCH p USING COVERING INDEX presence_lapsed (bot=? AND told=? AND seen<?)"},
		"who is away":             {selectLapsed, 4, "SEARCH p USING COVERING INDEX presence_lapsed (bot=? AND told=? AND seen<?)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := explainPlan(t, s, tc.query, make([]any, tc.args))
			if !strings.Contains(plan, tc.want) {
				t.Errorf("plan lacks %q:\n%s", tc.want, plan)
			}
			for step := range strings.Lines(plan) {
				if strings.Contains(step, "TEMP B-TREE") ||
					strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "VIRTUAL TABLE") && !strings.Contains(step, "CONSTANT ROW") {
					t.Errorf("plan has %q:\n%s", step, plan)
				}
			}
		})
	}
}

func explainPlan(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	steps, err := collect(t.Context(), s.readers, "explain", func(r rows) (step string, err error) {
		var id, parent, unused int
		err = r.Scan(&id, &parent, &unused, &step)
		return step, err
	}, `EXPLAIN QUERY PLAN `+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n") + "\n"
}

// BenchmarkLease takes and gives back a turn among 100,000: a long queue in one
// conversation, and many conversations whose retry is not due.
func BenchmarkLease(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir()+"/carnet.db")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	converse(b, s, 1)
	err = s.write(ctx, "fill", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
			INSERT INTO conversations (id, bot, issuer, subject, context, read_seq) SELECT 'other' || i, 'echo', '', '', '', 0 FROM n;
			INSERT INTO turns (conversation, seq, bot, ready, attempt) SELECT key, 0, bot, 1 << 60, 1 FROM conversations WHERE key > 1;
			INSERT INTO turns (conversation, seq, bot, ready, attempt) SELECT 1, key, bot, IIF(key = 1, 0, NULL), 0 FROM conversations`)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		turns, err := s.LeaseTurns(ctx, "echo", epoch, epoch.Add(time.Second), 100)
		if err != nil || len(turns) != 1 {
			b.Fatal(turns, err)
		}
		if _, ended, err := s.FinishTurn(ctx, turns[0], nil, nil, epoch); err != nil || !ended {
			b.Fatal(ended, err)
		}
	}
	cancel()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		b.Error(err)
	}
}
