package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
)

func day(month time.Month, day int) time.Time {
	return time.Date(2024, month, day, 12, 0, 0, 0, time.UTC)
}

// sayAt appends a message of the bot at each time.
func sayAt(t *testing.T, s *running, to chat.ID, times ...time.Time) {
	t.Helper()
	for _, at := range times {
		draft := chat.Draft{ID: at.Format("m20060102"), From: chat.FromBot, Body: []byte(`{}`)}
		if _, _, err := s.AppendMessages(t.Context(), to, []chat.Draft{draft}, at, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}

// kept are the numbers of a conversation's messages.
func kept(t *testing.T, s *running, of chat.ID) (seqs []int64) {
	t.Helper()
	all, err := s.MessagesAfter(t.Context(), of, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		seqs = append(seqs, m.Seq)
	}
	return seqs
}

// TestMonthsGo deletes messages of months that have partitions, and of others.
func TestMonthsGo(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := start(t, url)
	converse(t, s, 1)
	conn := connect(t, url)
	if err := s.Partition(t.Context(), day(1, 15)); err != nil {
		t.Fatal(err)
	}
	sayAt(t, s, "cnv_0", day(1, 1), day(1, 31), day(2, 1), day(2, 20), day(3, 1), day(6, 1), day(6, 20))
	if n := number(t, conn, `SELECT COUNT(*) FROM messages_default`); n != 2 {
		t.Fatalf("%d messages are in no month's partition, want 2", n)
	}
	months := func() int {
		return number(t, conn, `SELECT COUNT(*) FROM pg_class WHERE relname IN ('messages_2024_01', 'messages_2024_02', 'messages_2024_03')`)
	}
	for _, step := range []struct {
		before time.Time
		months int
		want   []int64
	}{
		{day(1, 1), 3, []int64{1, 2, 3, 4, 5, 6, 7}},
		{day(1, 31), 3, []int64{1, 2, 3, 4, 5, 6, 7}}, // January goes on
		{day(2, 15), 2, []int64{3, 4, 5, 6, 7}},
		{day(3, 15), 1, []int64{5, 6, 7}},
		{day(6, 10), 0, []int64{7}},
		{day(7, 10), 0, nil},
	} {
		if err := s.DeleteMessages(t.Context(), step.before); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, s, "cnv_0"); !slices.Equal(got, step.want) || months() != step.months {
			t.Errorf("before %v: messages %v in %d months are left, want %v in %d", step.before, got, months(), step.want, step.months)
		}
	}
	sayAt(t, s, "cnv_0", day(12, 1))
	if got := kept(t, s, "cnv_0"); !slices.Equal(got, []int64{8}) {
		t.Errorf("the next message is %v, want 8", got)
	}
}

// TestOneNodeDeletes has another node at it.
func TestOneNodeDeletes(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := start(t, url)
	converse(t, s, 1)
	sayAt(t, s, "cnv_0", day(1, 1))
	conn := connect(t, url)
	exec(t, conn, fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, 0x63617264))
	for _, want := range [][]int64{{1}, nil} {
		if err := s.DeleteMessages(t.Context(), day(2, 1)); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, s, "cnv_0"); !slices.Equal(got, want) {
			t.Errorf("messages %v are left, want %v", got, want)
		}
		exec(t, conn, `SELECT pg_advisory_unlock_all()`)
	}
}

// TestReadersDelayADrop has somebody read a partition that is to go: that is told after a
// moment, nobody waits for longer, and the next time it goes.
func TestReadersDelayADrop(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := start(t, url)
	converse(t, s, 1)
	if err := s.Partition(t.Context(), day(1, 15)); err != nil {
		t.Fatal(err)
	}
	sayAt(t, s, "cnv_0", day(1, 1))
	conn := connect(t, url)
	exec(t, conn, `BEGIN`)
	exec(t, conn, `SELECT * FROM messages`)
	began := time.Now()
	if err := s.DeleteMessages(t.Context(), day(4, 1)); err == nil {
		t.Error("a partition was dropped under its reader")
	}
	sayAt(t, s, "cnv_0", day(3, 1))
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("that took %v", took)
	}
	exec(t, conn, `COMMIT`)
	if err := s.DeleteMessages(t.Context(), day(4, 15)); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, s, "cnv_0"); got != nil {
		t.Errorf("messages %v are left", got)
	}
}

// TestMonthInTheDefault has a message from a clock that was far ahead: its month goes
// without a partition, and the others have theirs.
func TestMonthInTheDefault(t *testing.T) {
	t.Parallel()
	url := database(t)
	s := start(t, url)
	converse(t, s, 1)
	sayAt(t, s, "cnv_0", day(2, 1))
	if err := s.Partition(t.Context(), day(1, 15)); err != nil {
		t.Fatal(err)
	}
	sayAt(t, s, "cnv_0", day(1, 1), day(2, 2), day(3, 1))
	conn := connect(t, url)
	if n := number(t, conn, `SELECT COUNT(*) FROM messages_default`); n != 2 {
		t.Errorf("%d messages are in no month's partition, want those of February", n)
	}
	if err := s.DeleteMessages(t.Context(), day(2, 2)); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, s, "cnv_0"); !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("messages %v are left, want 3 and 4", got)
	}
}
