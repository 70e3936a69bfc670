package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/postgres"
)

func conversationOf(i int) chat.ID { return chat.ID(fmt.Sprint("cnv_", i)) }

// converse adds so many conversations.
func converse(t *testing.T, s *running, n int) {
	t.Helper()
	for i := range n {
		if err := s.AddConversation(t.Context(), chat.Conversation{ID: conversationOf(i), Bot: "echo", User: ann}, false); err != nil {
			t.Fatal(err)
		}
	}
}

func question(id string) []chat.Draft {
	return []chat.Draft{{ID: id, From: chat.FromUser, Body: []byte(`{"text":"?"}`)}}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// exec runs a statement, which must succeed.
func exec(t *testing.T, conn *pgx.Conn, query string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// number is what a query of one number answers.
func number(t *testing.T, conn *pgx.Conn, query string, args ...any) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestConnectionsAreKilled ends the connections of two stores over and over while many
// append, and send again what was not acknowledged. In the end each message is there once,
// under the number that it was acknowledged with, with one turn.
func TestConnectionsAreKilled(t *testing.T) {
	t.Parallel()
	const conversations, writers, each = 6, 24, 12
	url := database(t)
	stores := []*running{start(t, url), start(t, url)}
	converse(t, stores[0], conversations)
	conn := connect(t, url)

	var mu sync.Mutex
	acked, failed := map[chat.ID]map[string]int64{}, 0
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				to, id := conversationOf((w+n)%conversations), fmt.Sprintf("%d-%d", w, n)
				for {
					got, _, err := stores[rand.N(2)].AppendMessages(t.Context(), to, question(id), time.Now(), time.Time{})
					mu.Lock()
					if err == nil {
						if acked[to] == nil {
							acked[to] = map[string]int64{}
						}
						acked[to][id] = got[0].Seq
						mu.Unlock()
						break
					}
					failed++
					mu.Unlock()
					if fault.KindOf(err) != fault.Unavailable {
						t.Errorf("append %s: %v", id, err)
						return
					}
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		writing.Wait()
		close(ended)
	}()
	killed := 0
	for over := false; !over; {
		killed += number(t, conn, `
			SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name = 'carnet' AND datname = current_database() AND state <> 'idle' AND random() < 0.2`)
		select {
		case <-ended:
			over = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Logf("%d connections were ended, %d appends had failed", killed, failed)
	if killed == 0 {
		t.Error("no connection was ended")
	}
	total := 0
	for to, want := range acked {
		messages, err := stores[0].MessagesAfter(t.Context(), to, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range messages {
			if m.Seq != int64(i)+1 || want[m.ID] != m.Seq {
				t.Errorf("%s: message %d is %s with number %d, acknowledged as %d", to, i+1, m.ID, m.Seq, want[m.ID])
			}
		}
		if len(messages) != len(want) {
			t.Errorf("%s has %d messages, %d were acknowledged", to, len(messages), len(want))
		}
		total += len(messages)
	}
	if turns := number(t, conn, `SELECT COUNT(*) FROM turns`); turns != total || total != writers*each {
		t.Errorf("%d messages and %d turns, want %d", total, turns, writers*each)
	}
	if wrong := number(t, conn, `SELECT COUNT(*) FROM conversations AS c WHERE turns <> (SELECT COUNT(*) FROM turns WHERE conversation = c.key)`); wrong != 0 {
		t.Errorf("%d conversations have miscounted their turns", wrong)
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for late := time.After(time.Minute); !holds(); {
		select {
		case <-late:
			t.Fatalf("%s: not so after a minute", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestGroups lets appends wait until they are many: they share commits, and what is wrong
// with some is no concern of the others.
func TestGroups(t *testing.T) {
	t.Parallel()
	const all = 240
	for name, wrong := range map[string]int{"all are good": all, "some are no texts": 60} { // each of so many
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			s := start(t, url)
			converse(t, s, all)
			conn := connect(t, url)
			exec(t, conn, `BEGIN`)
			exec(t, conn, `LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE`)
			var errs [all]error
			var appending sync.WaitGroup
			for i := range all {
				appending.Go(func() {
					draft := question("m")
					if i%wrong == wrong-1 && wrong < all {
						draft[0].Body = []byte("\"\x00\"")
					}
					_, _, errs[i] = s.AppendMessages(t.Context(), conversationOf(i), draft, time.Now(), time.Time{})
				})
			}
			until(t, "appends wait", func() bool { return s.Waiting() > all*3/4 })
			exec(t, conn, `COMMIT`)
			appending.Wait()
			good := 0
			for i, err := range errs {
				switch bad := i%wrong == wrong-1 && wrong < all; {
				case bad && fault.KindOf(err) != fault.Invalid:
					t.Errorf("append %d: error = %v, want kind %v", i, err, fault.Invalid)
				case !bad && err != nil:
					t.Errorf("append %d: %v", i, err)
				case !bad:
					good++
				}
			}
			if there := number(t, conn, `SELECT COUNT(*) FROM messages`); there != good {
				t.Errorf("%d messages are there, want %d", there, good)
			}
			if commits := number(t, conn, `SELECT COUNT(DISTINCT xmin::text) FROM messages`); wrong == all && commits > all/4 {
				t.Errorf("%d appends took %d commits", all, commits)
			}
		})
	}
}

// TestAnswersShareCommits lets answers and appends to the same conversations wait until
// they are many. Each answer is there once, and what one cannot have is no concern of the
// others.
func TestAnswersShareCommits(t *testing.T) {
	t.Parallel()
	const all = 60
	url := database(t)
	s := start(t, url)
	converse(t, s, all)
	leased := map[int]bot.Turn{}
	for i := range all {
		_, turn, err := s.AppendMessages(t.Context(), conversationOf(i), question("q"), time.Now(), time.Now().Add(time.Hour))
		if err != nil || turn == nil {
			t.Fatalf("append leases %v, %v", turn, err)
		}
		leased[i] = *turn
	}
	conn := connect(t, url)
	exec(t, conn, `BEGIN`)
	exec(t, conn, `LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE`)
	var writing sync.WaitGroup
	var ended [all]atomic.Int32
	for i := range all {
		bad := i%10 == 9
		for n := range 2 { // the second is late, or the first
			writing.Go(func() {
				set := json.RawMessage(`{"step":1}`)
				if bad {
					set = json.RawMessage(`[]`)
				}
				answer := []chat.Draft{{ID: fmt.Sprint("a", n), From: chat.FromBot, Body: []byte(`{}`)}}
				ms, ok, err := s.FinishTurn(t.Context(), leased[i], answer, set, time.Now())
				if bad != (fault.KindOf(err) == fault.Invalid) || !bad && err != nil || ok != (len(ms) == 1) {
					t.Errorf("answer %d: %v, %t, %v", i, ms, ok, err)
				}
				if ok {
					ended[i].Add(1)
				}
			})
		}
		writing.Go(func() {
			if _, _, err := s.AppendMessages(t.Context(), conversationOf(i), question("next"), time.Now(), time.Time{}); err != nil {
				t.Errorf("append %d: %v", i, err)
			}
		})
	}
	until(t, "answers wait", func() bool { return s.Waiting() > all*2 })
	exec(t, conn, `COMMIT`)
	writing.Wait()
	for i := range all {
		bad := i%10 == 9
		if n := ended[i].Load(); (n == 1) == bad {
			t.Errorf("answer %d ended its turn %d times", i, n)
		}
		next, want := 2-int(ended[i].Load()), 1
		if got := number(t, conn, `SELECT COUNT(*) FROM turns JOIN conversations ON key = conversation WHERE id = $1`, conversationOf(i)); got != next {
			t.Errorf("%d turns wait in conversation %d, want %d", got, i, next)
		}
		if got := number(t, conn, `SELECT COUNT(*) FROM turns JOIN conversations ON key = conversation WHERE id = $1 AND ready IS NOT NULL`, conversationOf(i)); got != want {
			t.Errorf("%d turns of conversation %d are ready, want %d", got, i, want)
		}
	}
	if wrong := number(t, conn, `
		SELECT COUNT(*) FROM conversations AS c WHERE turns <> (SELECT COUNT(*) FROM turns WHERE conversation = c.key)
			OR last_seq <> (SELECT COUNT(*) FROM messages WHERE conversation = c.key)`); wrong != 0 {
		t.Errorf("%d conversations have miscounted", wrong)
	}
	if commits := number(t, conn, `SELECT COUNT(DISTINCT xmin::text) FROM messages WHERE id <> 'q'`); commits > all/2 {
		t.Errorf("%d answers and as many appends took %d commits", all, commits)
	}
}

// TestAnotherNodeWrote has two nodes write to a conversation by turns: what one remembers
// of it is not taken for granted when the other has written since.
func TestAnotherNodeWrote(t *testing.T) {
	t.Parallel()
	url := database(t)
	a, b := start(t, url), start(t, url)
	converse(t, a, 1)
	write := func(s *running, id string, want int64) {
		t.Helper()
		got, _, err := s.AppendMessages(t.Context(), conversationOf(0), question(id), time.Now(), time.Time{})
		if err != nil || got[0].Seq != want || got[0].ID != id {
			t.Errorf("append of %s: %v, %v, want number %d", id, got, err, want)
		}
	}
	write(a, "1", 1)
	write(a, "2", 2)
	if !a.Sure(conversationOf(0), "3") || a.Sure(conversationOf(0), "2") {
		t.Error("what a has written it does not know")
	}
	write(b, "3", 3)
	write(a, "3", 3)
	write(a, "2", 2)
	write(a, "4", 4)
	write(b, "4", 4)
	write(b, "5", 5)
	write(a, "5", 5)
	if n := len(mustRead(t, a, conversationOf(0))); n != 5 {
		t.Errorf("%d messages are there, want 5", n)
	}
	conn := connect(t, url)
	if n := number(t, conn, `SELECT last_seq * 100 + turns FROM conversations`); n != 505 {
		t.Errorf("number and turns are %d, want 505", n)
	}
}

func mustRead(t *testing.T, s *running, id chat.ID) []chat.Message {
	t.Helper()
	all, err := s.MessagesAfter(t.Context(), id, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestStuckConversation has one that somebody holds: appends to others go on meanwhile.
func TestStuckConversation(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := start(t, url)
	converse(t, s, 20)
	conn := connect(t, url)
	exec(t, conn, `BEGIN`)
	exec(t, conn, `SELECT key FROM conversations WHERE id = 'cnv_0' FOR UPDATE`)
	stuck := make(chan error, 1)
	go func() {
		_, _, err := s.AppendMessages(t.Context(), "cnv_0", question("m"), time.Now(), time.Time{})
		stuck <- err
	}()
	for i := 1; i < 20; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if _, _, err := s.AppendMessages(ctx, conversationOf(i), question("m"), time.Now(), time.Time{}); err != nil {
			t.Errorf("append to another: %v", err)
		}
		cancel()
	}
	select {
	case err := <-stuck:
		t.Errorf("the append to the one that is held: %v, want it to wait", err)
	default:
	}
	exec(t, conn, `COMMIT`)
	if err := <-stuck; err != nil {
		t.Errorf("the append to the one that was held: %v", err)
	}
}

// TestStoppedStore refuses appends at once when it runs no more.
func TestStoppedStore(t *testing.T) {
	t.Parallel()
	s, err := postgres.Open(t.Context(), database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(over); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.AppendMessages(t.Context(), "cnv_0", question("m"), time.Now(), time.Time{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error = %v, want %v", err, fault.Unavailable)
	}
}

func TestCommitted(t *testing.T) {
	t.Parallel()
	for answer, ok := range map[string]bool{"COMMIT": true, "ROLLBACK": false, "": false, "INSERT 0 1": false} {
		if err := postgres.Committed(answer); (err == nil) != ok {
			t.Errorf("answer %q: error = %v, want one: %t", answer, err, !ok)
		}
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"a deadlock":            {&pgconn.PgError{Code: "40P01"}, true},
		"no text":               {&pgconn.PgError{Code: "22021"}, true},
		"ended by an operator":  {fmt.Errorf("x: %w", &pgconn.PgError{Code: "57P01"}), true},
		"a broken connection":   {io.ErrUnexpectedEOF, true},
		"a server that is mute": {context.DeadlineExceeded, false},
		"a fault of our own":    {errors.New("scan"), false},
	} {
		if got := postgres.Again(tc.err); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

// TestSettings: what bounds a node, and how its URL sets other bounds.
func TestSettings(t *testing.T) {
	t.Parallel()
	url := database(t)
	for query, want := range map[string]struct {
		conns    int32
		settings map[string]string
	}{
		"": {16, map[string]string{
			"statement_timeout": "10s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "15s",
			"synchronous_commit": "on", "application_name": "carnet", "TimeZone": "UTC",
		}},
		"?pool_max_conns=30&statement_timeout=2000&lock_timeout=100": {30, map[string]string{
			"statement_timeout": "2s", "lock_timeout": "100ms", "synchronous_commit": "on",
		}},
	} {
		s := start(t, url+query)
		if got := s.Conns(); got != want.conns {
			t.Errorf("%q: %d connections, want %d", query, got, want.conns)
		}
		for name, value := range want.settings {
			if got, err := s.Setting(t.Context(), name); err != nil || got != value {
				t.Errorf("%q: %s is %s, %v, want %s", query, name, got, err, value)
			}
		}
	}
}
