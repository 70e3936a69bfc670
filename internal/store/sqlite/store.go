// Package sqlite keeps Carnet's state in one SQLite file.
//
// Writes go through one goroutine, [Store.Run], which commits many of them at
// once; reads use connections of their own and never wait for it. A write that
// returned nil is on the disk. Other processes may read and write the same file,
// through this package: each waits for the other's transactions.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/carnetproject/carnet/internal/store/table"
)

// busyTimeout is how long a transaction waits for another process's.
const busyTimeout = 5 * time.Second

// walPages is the log's length at which a commit copies it into the file: 16 MB. Under
// load most of a shorter log are pages that the next commits write again.
const walPages = "wal_autocheckpoint(4000)"

// writerCache is 16 MB of pages that the writer knows: with SQLite's own 2 MB, a commit of
// many conversations reads its pages again, and writes some of them to the log twice.
const writerCache = "cache_size(-16000)"

// Store is an open database. Reads work from [Open] to [Store.Close]; writes wait
// for [Store.Run] to begin, and are refused once it has ended. Safe for concurrent use.
type Store struct {
	*table.Tables

	writer  *sql.DB // one connection
	readers *sql.DB // read-only

	turnWaits *sql.Stmt            // of the readers
	hot       map[string]*sql.Stmt // of the readers, by their texts
	durable   bool                 // whether the writer's commits wait for the disk; its goroutine's alone
	chat      *chatWriter
	contexts  table.Contexts

	queue   chan *write
	running atomic.Bool
	stopped chan struct{} // closed when Run has ended
}

// Open opens the file, making it (mode 0600) and its folder (mode 0700) if they
// are not there, and brings its schema up to date. A file that a newer version of
// Carnet has written is refused. Open starts nothing.
func Open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{queue: make(chan *write, maxQueue), stopped: make(chan struct{}), durable: true, hot: map[string]*sql.Stmt{}}
	s.writer, err = connect(path, 1, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", walPages, writerCache)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	s.readers, err = connect(path, max(4, runtime.GOMAXPROCS(0)), "query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), s.writer.Close())
	}
	if err := migrate(ctx, s.writer); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), s.Close())
	}
	if s.chat, err = newChatWriter(ctx, s.writer, &s.contexts); err == nil {
		s.turnWaits, err = s.readers.PrepareContext(ctx, selectWaits)
	}
	for _, text := range table.Hot() {
		if err == nil {
			s.hot[text], err = s.readers.PrepareContext(ctx, text)
		}
	}
	if err == nil {
		s.Tables, err = table.New(ctx, database{s})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), s.Close())
	}
	return s, nil
}

// create makes an empty file that only its owner may read. SQLite gives its
// companions (-wal, -shm) the same mode.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func connect(path string, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_txlock":       {"immediate"}, // a deferred transaction that begins to write late fails at once
		"_dqs":          {"0"},
		"_pragma":       pragmas,
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close closes the file. Call it after Run has returned.
func (s *Store) Close() error { return errors.Join(s.readers.Close(), s.writer.Close()) }

// SealContexts has the contexts of conversations sealed from now on. Call it before the
// store is used.
func (s *Store) SealContexts(b table.Box) { s.contexts = table.Contexts{Box: b} }
