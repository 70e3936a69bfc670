package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// postgresGroup measures durable messages a second as appendGroup does, in PostgreSQL,
// whose commits wait for the disk. The reference has as many connections, each with a loop
// that commits what has come in since, in one round trip: it writes the same rows, each
// with its own body, but locks none and looks for none, knows every key and number
// beforehand, and refuses nothing.
func postgresGroup() group {
	return group{[]string{"postgres/append"}, func(ctx context.Context, report func(Result)) error {
		return withPostgres(func(s *pgtest.Server) error { return measurePostgresAppend(ctx, s, report) })
	}}
}

// withPostgres has a server of its own.
func withPostgres(f func(*pgtest.Server) error) error {
	dir, err := os.MkdirTemp("", "carnet-pg") // PostgreSQL's user must be able to look into it
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := pgtest.New(dir, "fsync=on", "shared_buffers=512MB", "max_wal_size=4GB")
	if err != nil {
		return err
	}
	defer s.Kill()
	return f(s)
}

func measurePostgresAppend(ctx context.Context, server *pgtest.Server, report func(Result)) error {
	product, stop, err := openPostgres(ctx, server)
	if err != nil {
		return err
	}
	bare, stopBare, err := openBarePostgres(ctx, server)
	if err != nil {
		return errors.Join(err, stop())
	}
	result, err := appends(ctx, "postgres/append", product, bare)
	if err == nil {
		report(result)
	}
	return errors.Join(err, stop(), stopBare())
}

// seedPostgres makes a database with the product's schema and its conversations.
func seedPostgres(ctx context.Context, server *pgtest.Server) (url string, s *postgres.Store, stop func() error, err error) {
	if url, err = server.Database(""); err != nil {
		return "", nil, nil, err
	}
	if s, err = postgres.Open(ctx, url); err != nil {
		return "", nil, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	stop = func() error {
		cancel()
		return errors.Join(<-ended, s.Close())
	}
	if err := addConversations(ctx, s); err != nil {
		return "", nil, nil, errors.Join(err, stop())
	}
	return url, s, stop, nil
}

func openPostgres(ctx context.Context, server *pgtest.Server) (appender, func() error, error) {
	_, s, stop, err := seedPostgres(ctx, server)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, conversation int, id string) error {
		draft := chat.Draft{ID: id, From: chat.FromUser, Body: []byte(appendBody)}
		_, _, err := s.AppendMessages(ctx, conversationID(conversation), []chat.Draft{draft}, time.Now(), time.Time{})
		return err
	}, stop, nil
}

// bareLoops are grouped inserts with nothing around them.
type bareLoops struct {
	pool *pgxpool.Pool
	keys [appendConversations]int64
	seqs [appendConversations]int64 // each moved by its connection alone
}

// bareConnections are as many as the product has for appends.
const bareConnections = 4

func openBarePostgres(ctx context.Context, server *pgtest.Server) (appender, func() error, error) {
	url, _, stop, err := seedPostgres(ctx, server)
	if err != nil {
		return nil, nil, err
	}
	if err := stop(); err != nil {
		return nil, nil, err
	}
	l := &bareLoops{}
	if l.pool, err = pgxpool.New(ctx, url); err != nil {
		return nil, nil, err
	}
	for i := range appendConversations {
		if err := l.pool.QueryRow(ctx, `SELECT key FROM conversations WHERE id = $1`, conversationID(i)).Scan(&l.keys[i]); err != nil {
			return nil, nil, err
		}
	}
	var queues [bareConnections]chan bareWrite
	var running sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan bareWrite, appendProducers)
		running.Go(func() { l.run(ctx, queues[i]) })
	}
	return func(_ context.Context, conversation int, id string) error {
			w := bareWrite{conversation, id, make(chan error, 1)}
			queues[conversation%bareConnections] <- w
			return <-w.done
		}, func() error {
			for _, q := range queues {
				close(q)
			}
			running.Wait()
			l.pool.Close()
			return nil
		}, nil
}

func (l *bareLoops) run(ctx context.Context, queue chan bareWrite) {
	for first := range queue {
		batch := []bareWrite{first}
		for len(queue) > 0 && len(batch) < appendProducers {
			batch = append(batch, <-queue)
		}
		err := l.commit(ctx, batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

// commit writes a group's messages, turns, and where its conversations stand.
func (l *bareLoops) commit(ctx context.Context, batch []bareWrite) error {
	now := time.Now().UnixMilli()
	var keys, seqs []int64
	var ids, bodies []string
	var ready []*int64
	for _, w := range batch {
		l.seqs[w.conversation]++
		seq := l.seqs[w.conversation]
		keys, seqs = append(keys, l.keys[w.conversation]), append(seqs, seq)
		ids, bodies = append(ids, w.id), append(bodies, appendBody)
		if seq > 1 { // only the oldest turn of a conversation is ready
			ready = append(ready, nil)
		} else {
			ready = append(ready, &now)
		}
	}
	var b pgx.Batch
	b.Queue(`BEGIN`)
	b.Queue(`
		INSERT INTO messages (conversation, seq, id, sender, at, body)
		SELECT key, seq, id, 'user', $5, body
		FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS new (key, seq, id, body)`,
		keys, seqs, ids, bodies, now)
	b.Queue(`
		INSERT INTO turns (conversation, seq, bot, ready, attempt, hook_at, hook)
		SELECT key, seq, 'echo', ready, 0, 0, '' FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS new (key, seq, ready)`,
		keys, seqs, ready)
	b.Queue(`
		UPDATE conversations AS c SET last_seq = new.seq, turns = new.seq
		FROM (SELECT key, MAX(seq) AS seq FROM unnest($1::bigint[], $2::bigint[]) AS all_of (key, seq) GROUP BY key) AS new
		WHERE c.key = new.key`, keys, seqs)
	b.Queue(`COMMIT`)
	return l.pool.SendBatch(ctx, &b).Close()
}
