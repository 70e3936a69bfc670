package sqlite

import (
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/carnetproject/carnet/internal/bot"
)

// TestTurnsOfOldFiles opens a file from before there were hooks: what waits goes on
// waiting, what was given up is kept, and no id comes a second time.
func TestTurnsOfOldFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := connect(path, 1, "foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{
		`INSERT INTO conversations (key, id, bot, issuer, subject, context, read_seq, created) VALUES (7, 'cnv_1', 'echo', 'iss', 'ann', '', 0, 1000)`,
		`INSERT INTO messages (conversation, seq, id, sender, at, body) VALUES (7, 1, 'a', 'user', 2000, '"a"'), (7, 2, 'b', 'user', 3000, '"b"')`,
		`INSERT INTO turns (conversation, seq, bot, ready, attempt, again) VALUES (7, 1, 'echo', 4000, 3, 3500), (7, 2, 'echo', NULL, 0, NULL)`,
		`INSERT INTO dead_turns (conversation, seq, attempts, reason, at) VALUES (7, 0, 5, 'out', 5000), (7, 9, 1, 'dropped since', 6000)`,
		`DELETE FROM dead_turns WHERE seq = 9`,
	} {
		if _, err := db.ExecContext(t.Context(), old); err != nil {
			t.Fatalf("%s: %v", old, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the folder goes with the test
	defer run(t, s)()
	ctx, now := t.Context(), time.UnixMilli(4000).UTC()
	turn := bot.Turn{
		Conversation: "cnv_1", Seq: 1, Bot: "echo", Kind: bot.Message, MessageID: "a", Body: []byte(`"a"`),
		At: time.UnixMilli(2000).UTC(), User: bot.User{Issuer: "iss", Subject: "ann"}, Attempt: 4, Again: time.UnixMilli(3500).UTC(),
	}
	got, err := s.LeaseTurns(ctx, "echo", now, now.Add(time.Minute), 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bot.Turn{turn}, got); diff != "" {
		t.Errorf("turns (-want +got):\n%s", diff)
	}
	if _, ended, err := s.DropTurn(ctx, turn, "no answer", nil, now); err != nil || !ended {
		t.Fatalf("DropTurn() = %t, %v", ended, err)
	}
	if next, err := s.LeaseTurns(ctx, "echo", now, now.Add(time.Minute), 10); err != nil || len(next) != 1 || next[0].MessageID != "b" {
		t.Errorf("then %+v, %v; want b", next, err)
	}
	dead, err := s.DeadTurns(ctx, "", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	type kept struct {
		ID   int64
		Kind bot.Kind
	}
	var all []kept
	for _, d := range dead {
		all = append(all, kept{d.ID, d.Turn.Kind})
	}
	if diff := cmp.Diff([]kept{{1, bot.Welcome}, {3, bot.Message}}, all); diff != "" {
		t.Errorf("dead turns (-want +got):\n%s", diff)
	}
}
