package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

const (
	appendProducers     = 256 // each waits for its own message: so many share a commit at most
	appendConversations = 5000
)

// appendBody is a message of usual length.
var appendBody = fmt.Sprintf(`{"text":%q}`, strings.Repeat("carnet ", 14))

// appendGroup measures durable messages a second, each with its bot's turn, beside
// the least that could be: a loop that commits prepared inserts of the same rows into
// the same schema, knows every key and number beforehand, and refuses nothing.
func appendGroup() group {
	return group{[]string{"append/durable"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureAppend(ctx, dir, report) })
	}}
}

// appender commits one message to a conversation before it returns.
type appender func(ctx context.Context, conversation int, id string) error

func measureAppend(ctx context.Context, dir string, report func(Result)) error {
	product, stop, err := openProduct(ctx, filepath.Join(dir, "product.db"))
	if err != nil {
		return err
	}
	bare, stopBare, err := openBare(ctx, filepath.Join(dir, "bare.db"))
	if err != nil {
		return errors.Join(err, stop())
	}
	result, err := appends(ctx, "append/durable", product, bare)
	if err == nil {
		report(result)
	}
	return errors.Join(err, stop(), stopBare())
}

// appends compares what is appended to the product and to the bare store, by turns.
func appends(ctx context.Context, name string, product, bare appender) (Result, error) {
	var ours, reference []float64
	for range loadRounds {
		a, err1 := appendRate(ctx, product)
		b, err2 := appendRate(ctx, bare)
		if err := errors.Join(err1, err2); err != nil {
			return Result{}, err
		}
		ours, reference = append(ours, a), append(reference, b)
	}
	return atLeast(name, "msg/s", median(ours), median(reference), 0.8), nil
}

// appendRate is how many messages a second all producers get committed.
func appendRate(ctx context.Context, write appender) (float64, error) {
	over, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, time.Minute) // a caller has its patience
	defer cancel()
	var counts [appendProducers]int
	var errs [appendProducers]error
	start := time.Now()
	var wg sync.WaitGroup
	for i := range appendProducers {
		wg.Go(func() {
			for over.Err() == nil && errs[i] == nil {
				errs[i] = write(ctx, rand.IntN(appendConversations), fmt.Sprintf("%016x", rand.Uint64()))
				counts[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / took.Seconds(), errors.Join(errs[:]...)
}

func conversationID(i int) chat.ID { return chat.ID(fmt.Sprintf("cnv_%026d", i)) }

// seedConversations makes a file with the product's schema and its conversations.
func seedConversations(ctx context.Context, path string) (*sqlite.Store, func() error, error) {
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	stop := func() error {
		cancel()
		return errors.Join(<-ended, s.Close())
	}
	if err := addConversations(ctx, s); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return s, stop, nil
}

// addConversations adds the conversations.
func addConversations(ctx context.Context, s interface {
	AddConversation(ctx context.Context, c chat.Conversation, welcome bool) error
},
) error {
	var wg sync.WaitGroup
	var errs [appendProducers]error
	for p := range appendProducers {
		wg.Go(func() {
			for i := p; i < appendConversations && errs[p] == nil; i += appendProducers {
				errs[p] = s.AddConversation(ctx, chat.Conversation{ID: conversationID(i), Bot: "echo", Created: time.Now()}, false)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

func openProduct(ctx context.Context, path string) (appender, func() error, error) {
	s, stop, err := seedConversations(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, conversation int, id string) error {
		draft := chat.Draft{ID: id, From: chat.FromUser, Body: []byte(appendBody)}
		_, _, err := s.AppendMessages(ctx, conversationID(conversation), []chat.Draft{draft}, time.Now(), time.Time{})
		return err
	}, stop, nil
}

// bareLoop is group commit with nothing around it.
type bareLoop struct {
	db            *sql.DB
	message, turn *sql.Stmt
	keys, seqs    [appendConversations]int64
	queue         chan bareWrite
}

type bareWrite struct {
	conversation int
	id           string
	done         chan error
}

func openBare(ctx context.Context, path string) (appender, func() error, error) {
	_, stop, err := seedConversations(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	if err := stop(); err != nil {
		return nil, nil, err
	}
	l := &bareLoop{queue: make(chan bareWrite, appendProducers)}
	if err := l.open(ctx, path); err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx)
	}()
	return func(_ context.Context, conversation int, id string) error {
			w := bareWrite{conversation, id, make(chan error, 1)}
			l.queue <- w
			return <-w.done
		}, func() error {
			close(l.queue)
			<-ended
			return l.db.Close()
		}, nil
}

func (l *bareLoop) open(ctx context.Context, path string) (err error) {
	l.db, err = sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)"+
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16000)")
	if err != nil {
		return err
	}
	l.db.SetMaxOpenConns(1)
	for i := range l.keys {
		err := l.db.QueryRowContext(ctx, `SELECT key FROM conversations WHERE id = ?`, conversationID(i)).Scan(&l.keys[i])
		if err != nil {
			return errors.Join(err, l.db.Close())
		}
	}
	var err1, err2 error
	l.message, err1 = l.db.PrepareContext(ctx,
		`INSERT INTO messages (conversation, seq, id, sender, at, body) VALUES (?, ?, ?, 'user', ?, ?)`)
	l.turn, err2 = l.db.PrepareContext(ctx,
		`INSERT INTO turns (conversation, seq, bot, ready, attempt, hook_at, hook) VALUES (?, ?, 'echo', ?, 0, 0, '')`)
	return errors.Join(err1, err2)
}

func (l *bareLoop) run(ctx context.Context) {
	for first := range l.queue {
		batch := []bareWrite{first}
		for len(l.queue) > 0 && len(batch) < appendProducers {
			batch = append(batch, <-l.queue)
		}
		err := l.commit(ctx, batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

func (l *bareLoop) commit(ctx context.Context, batch []bareWrite) error {
	tx, err := l.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	message, turn := tx.StmtContext(ctx, l.message), tx.StmtContext(ctx, l.turn)
	for _, w := range batch {
		key, now := l.keys[w.conversation], time.Now().UnixMilli()
		l.seqs[w.conversation]++
		seq := l.seqs[w.conversation]
		if _, err = message.ExecContext(ctx, key, seq, w.id, now, appendBody); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		// Only the oldest turn of a conversation is ready.
		ready := any(now)
		if seq > 1 {
			ready = nil
		}
		if _, err = turn.ExecContext(ctx, key, seq, ready); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}
