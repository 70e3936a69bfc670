package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

const killConversations = 4

func killConversation(i int) chat.ID { return chat.ID(fmt.Sprint("cnv_", i)) }

func question(id string) chat.Draft {
	return chat.Draft{ID: id, From: chat.FromUser, Body: []byte(`{"text":"?"}`)}
}

// chatUntilKilled asks from several goroutines and answers from others. It prints
// conversation, number and id of each message once it is acknowledged.
func chatUntilKilled(path, name string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	ended := make(chan error, 11)
	go func() { ended <- s.Run(ctx) }()
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", name, g, i)
				ended <- askTwice(ctx, s, killConversation((g+i)%killConversations), id, g%2 == 0)
			}
		}()
	}
	for range 2 {
		go func() {
			for {
				ended <- answer(ctx, s)
			}
		}()
	}
	for err := range ended {
		if err != nil {
			return err
		}
	}
	return nil
}

// askTwice sends a message again before it is acknowledged, as after a dropped
// connection. Who leases answers too, if no older question waits.
func askTwice(ctx context.Context, s *sqlite.Store, to chat.ID, id string, leases bool) error {
	now, until := time.Now(), time.Time{}
	if leases {
		until = now.Add(time.Minute)
	}
	messages, turn, err := s.AppendMessages(ctx, to, []chat.Draft{question(id), question(id)}, now, until)
	if err != nil {
		return err
	}
	if len(messages) != 2 || messages[0].Seq != messages[1].Seq {
		return fmt.Errorf("one id became %v", messages)
	}
	if err := acknowledge(to, messages[:1]); err != nil || turn == nil {
		return err
	}
	if turn.Seq != messages[0].Seq || turn.MessageID != id {
		return fmt.Errorf("question %d has turn %d of %s", messages[0].Seq, turn.Seq, turn.MessageID)
	}
	return reply(ctx, s, *turn)
}

func answer(ctx context.Context, s *sqlite.Store) error {
	now := time.Now()
	turns, err := s.LeaseTurns(ctx, "echo", now, now.Add(time.Minute), 8)
	if err != nil {
		return err
	}
	for _, turn := range turns {
		if err := reply(ctx, s, turn); err != nil {
			return err
		}
	}
	return nil
}

func reply(ctx context.Context, s *sqlite.Store, turn bot.Turn) error {
	draft := chat.Draft{ID: "to-" + turn.MessageID, From: chat.FromBot, Body: []byte(`{"text":"!"}`)}
	messages, ended, err := s.FinishTurn(ctx, turn, []chat.Draft{draft}, nil, time.Now())
	if err != nil {
		return err
	}
	if !ended {
		return errors.New("a turn ended while it was leased")
	}
	return acknowledge(chat.ID(turn.Conversation), messages)
}

func acknowledge(id chat.ID, messages []chat.Message) error {
	for _, m := range messages {
		if _, err := fmt.Println(id, m.Seq, m.ID); err != nil {
			return err // the parent has gone
		}
	}
	return nil
}

// TestKillChat kills a process that asks and answers, again and again. Whatever was
// acknowledged is there once and in its place, and each question has an answer or
// still waits for one.
func TestKillChat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	here := start(t, path)
	for i := range killConversations {
		err := here.AddConversation(t.Context(), chat.Conversation{ID: killConversation(i), Bot: "echo"}, false)
		if err != nil {
			t.Fatal(err)
		}
	}
	acked := map[string]bool{}
	for round := range 6 {
		for _, line := range killAfter(t, path, "chat", fmt.Sprint("r", round), 1+rand.IntN(400)) {
			if acked[line] {
				t.Errorf("%q was acknowledged twice", line)
			}
			acked[line] = true
		}
	}
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	after := start(t, path)
	waiting := waitingTurns(t, after)
	total := 0
	for i := range killConversations {
		total += checkConversation(t, after, killConversation(i), acked, waiting)
	}
	for line := range acked {
		t.Errorf("%q was acknowledged and is not there", line)
	}
	for turn := range waiting {
		t.Errorf("turn %q waits for nothing", turn)
	}
	t.Logf("%d messages are there", total)
}

// waitingTurns ends all turns that have no answer, and returns what they were.
func waitingTurns(t *testing.T, s *running) map[string]bool {
	t.Helper()
	waiting := map[string]bool{}
	now := time.Now().Add(time.Hour)
	for {
		turns, err := s.LeaseTurns(t.Context(), "echo", now, now.Add(time.Minute), 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(turns) == 0 {
			return waiting
		}
		for _, turn := range turns {
			if _, ended, err := s.FinishTurn(t.Context(), bot.Turn{Conversation: turn.Conversation, Seq: turn.Seq}, nil, nil, now); err != nil || !ended {
				t.Fatalf("finish turn: %t, %v", ended, err)
			}
			waiting[fmt.Sprintln(turn.Conversation, turn.Seq, turn.MessageID)] = true
		}
	}
}

// checkConversation takes what it finds out of acked and waiting.
func checkConversation(t *testing.T, s *running, id chat.ID, acked, waiting map[string]bool) int {
	t.Helper()
	all, err := s.MessagesAfter(t.Context(), id, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i, m := range all {
		count[m.ID]++
		if m.Seq != int64(i+1) || count[m.ID] != 1 {
			t.Errorf("%s: message %d has number %d, and its id is there %d times", id, i+1, m.Seq, count[m.ID])
		}
		delete(acked, fmt.Sprint(id, " ", m.Seq, " ", m.ID))
	}
	for _, m := range all {
		if m.From != chat.FromUser {
			continue
		}
		turn := fmt.Sprintln(id, m.Seq, m.ID)
		if answered := count["to-"+m.ID] == 1; answered == waiting[turn] {
			t.Errorf("%s: question %s is answered %t and waits %t", id, m.ID, answered, waiting[turn])
		}
		delete(waiting, turn)
	}
	return len(all)
}
