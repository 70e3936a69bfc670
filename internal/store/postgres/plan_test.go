package postgres_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/table"
)

// big is how many rows make a table one that nobody may read through. PLAN_ROWS has as
// many credentials and messages made, to see plans at their size.
const big = 20_000

// fill generates credentials, conversations and messages, of which some wait for answers.
const fill = `
	INSERT INTO consumers (id, username, groups, created) SELECT 'c' || i, 'u' || i, '[]', 0 FROM generate_series(1, 5) AS i;
	INSERT INTO credentials (consumer, key, secret, created)
		SELECT 1 + i %% 5, 'dev.example.app-' || md5(i::text), sha256(i::text::bytea), 0 FROM generate_series(1, %[1]d) AS i;
	INSERT INTO conversations (id, bot, issuer, subject, context, owned, created, last_seq, turns)
		SELECT 'cnv_' || i, 'echo', 'https://issuer.example', 'u' || i / 2, '{}', '[]', 0, 4, 1 FROM generate_series(1, %[1]d / 4) AS i;
	INSERT INTO messages (conversation, seq, id, sender, at, body)
		SELECT key, s, md5(key || '-' || s), 'user', %[2]d + s, '{"text":"x"}' FROM conversations, generate_series(1, 4) AS s;
	INSERT INTO turns (conversation, seq, hook_at, hook, bot, ready, attempt)
		SELECT key, 4, 0, '', bot, %[2]d + key, 0 FROM conversations;
	INSERT INTO dead_turns (conversation, seq, hook_at, hook, attempts, reason, at)
		SELECT key, 3, 0, '', 1, '', %[2]d FROM conversations;
	INSERT INTO presence (conversation, bot, told, seen) SELECT key, bot, 0, %[2]d + key FROM conversations;
`

// node is a step of a plan.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Plans    []node
}

// each calls f for a step and those below it.
func (n node) each(f func(node)) {
	f(n)
	for _, below := range n.Plans {
		below.each(f)
	}
}

// TestPlans holds each statement to the indexes of tables that grow, with plans as they
// are made without a look at the arguments.
func TestPlans(t *testing.T) {
	t.Parallel()
	rows, _ := strconv.Atoi(os.Getenv("PLAN_ROWS"))
	rows = cmp.Or(rows, big)
	url := database(t)
	s := start(t, url)
	now := time.Now()
	if err := s.Partition(t.Context(), now.AddDate(0, -3, 0)); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url+"?plan_cache_mode=force_generic_plan")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), fmt.Sprintf(fill, rows, now.UnixMilli())); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `VACUUM ANALYZE`); err != nil {
		t.Fatal(err)
	}
	hot := postgres.Hot()
	for name, p := range table.Plans() {
		hot[name] = postgres.Number(p.Query)
	}
	month := now.UTC().Format("messages_2006_01")
	grown := []string{"credentials", "conversations", "turns", "presence", "dead_turns", month}
	indexes := map[string]string{ // those that others would do without, but slowly
		"messages before": "seq", "messages after": "seq", "message by id": "id", "messages that are there": "id",
	}
	for name, query := range hot {
		t.Run(name, func(t *testing.T) {
			explain(t, conn, query).each(func(n node) {
				if n.Type == "Seq Scan" && slices.Contains(grown, n.Relation) {
					t.Errorf("%s is read through:\n%s", n.Relation, query)
				}
				if want := indexes[name]; want != "" && n.Relation == month && !strings.HasSuffix(n.Index, "_"+want+"_idx") {
					t.Errorf("%s is read by %s, want the index of %s", n.Relation, n.Index, want)
				}
			})
		})
	}
}

// explain is the plan of a statement for any arguments.
func explain(t *testing.T, conn *pgx.Conn, query string) node {
	t.Helper()
	prepared, err := conn.Prepare(t.Context(), "", query)
	if err != nil {
		t.Fatalf("%v:\n%s", err, query)
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(prepared.ParamOIDs)), ", ")
	if _, err := conn.Exec(t.Context(), `PREPARE looked AS `+query); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Exec(t.Context(), `DEALLOCATE looked`) }()
	var text string
	if err := conn.QueryRow(t.Context(), `EXPLAIN (FORMAT JSON) EXECUTE looked (`+nulls+`)`, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) != 1 {
		t.Fatalf("plan %s: %v", text, err)
	}
	return plans[0].Plan
}
