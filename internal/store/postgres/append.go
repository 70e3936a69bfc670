package postgres

import (
	"context"
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

const (
	lanes    = 4       // commits of appends at a time; a conversation has its lane
	maxLane  = 512     // appends that wait in a lane; beyond, callers wait to get in
	maxGroup = 256     // appends of one commit
	maxBytes = 4 << 20 // of a group's bodies, but for the last one's
)

// errStopped refuses appends after Run has ended: nothing was written.
var errStopped = fault.New(fault.Unavailable, "the store is shutting down")

// errAlone is the outcome of an append that its caller is to try by itself: its group has
// written nothing of it, or may have, and then the ids of its drafts tell.
var errAlone = errors.New("not with others")

// addition is what a call of AppendMessages adds.
type addition struct {
	id        chat.ID
	drafts    []chat.Draft
	at, until time.Time

	messages []chat.Message
	turn     *bot.Turn
	outcome  error

	taken atomic.Bool // by the lane, or back by its caller: by one of them
	done  chan struct{}
}

// AppendMessages commits the drafts in their order, each user's together with the
// turn that the bot owes for it, and returns the messages that they have become. A
// draft whose id the conversation has already writes nothing, and yields the message
// that has it. An unknown conversation is a fault of kind NotFound.
//
// If until is not zero and no older turn of the conversation waits, the first of the
// turns is leased in the same commit, as if by LeaseTurns, and returned.
//
// Appends to many conversations share commits. They wait for Run to begin.
func (s *Store) AppendMessages(ctx context.Context, id chat.ID, drafts []chat.Draft, at, until time.Time) ([]chat.Message, *bot.Turn, error) {
	a := &addition{id: id, drafts: drafts, at: at, until: until}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := s.addWithOthers(ctx, a)
	if errors.Is(err, errAlone) {
		a = &addition{id: id, drafts: drafts, at: at, until: until}
		err = s.addAlone(ctx, a)
	}
	if err != nil {
		return nil, nil, err
	}
	return a.messages, a.turn, nil
}

// addWithOthers hands a to its lane and waits for the commit. When ctx ends before a group
// has taken it, nothing is written.
func (s *Store) addWithOthers(ctx context.Context, a *addition) error {
	if err := ctx.Err(); err != nil {
		return explain(appending, err)
	}
	a.done = make(chan struct{})
	select {
	case s.lanes[maphash.String(s.seed, string(a.id))%lanes] <- a:
	case <-ctx.Done():
		return explain(appending, ctx.Err())
	case <-s.stopped:
		return errStopped
	}
	select {
	case <-a.done:
		return a.outcome
	case <-ctx.Done():
		if a.take() {
			return explain(appending, ctx.Err())
		}
	case <-s.stopped:
		if a.take() {
			return errStopped
		}
	}
	<-a.done
	return a.outcome
}

// appending is what is being done.
const appending = "append messages"

// take claims a. Whoever gets true decides what becomes of it.
func (a *addition) take() bool { return a.taken.CompareAndSwap(false, true) }

// addAlone waits for others who write to the conversation.
func (s *Store) addAlone(ctx context.Context, a *addition) error {
	g := newGroup([]*addition{a})
	err := s.exchange(ctx, appending, g.read(selectPlaces), g.decide(s.contexts))
	switch {
	case err != nil:
		return err
	case errors.Is(a.outcome, errAlone):
		return table.ErrNoConversation
	}
	return a.outcome
}

// ride commits the appends of a lane, group by group, until ctx ends, and then those that
// are in the lane already.
func (s *Store) ride(ctx context.Context, lane <-chan *addition) {
	work := context.WithoutCancel(ctx) // a commit under way is not given up
	for {
		select {
		case a := <-lane:
			s.commitGroup(work, a, lane)
		case <-ctx.Done():
			for len(lane) > 0 {
				s.commitGroup(work, <-lane, lane)
			}
			return
		}
	}
}

// commitGroup commits an append and those behind it. Conversations that others are
// writing to are left out: a group waits for nobody, and so nobody waits for it in a circle.
func (s *Store) commitGroup(ctx context.Context, first *addition, lane <-chan *addition) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	mine := gather(first, lane) // only now: while there was no connection, callers may have left
	alone := false
	if err == nil {
		if len(mine) > 0 {
			g := newGroup(mine)
			err = exchange(ctx, conn.Conn(), g.read(selectPlaces+` SKIP LOCKED`), g.decide(s.contexts))
			alone = err != nil && again(err)
		}
		conn.Release()
	}
	for _, a := range mine {
		switch {
		case alone:
			a.outcome = errAlone
		case err != nil:
			a.outcome = explain(appending, err)
		}
		close(a.done)
	}
}

// gather claims an append and those that wait behind it, as many as a group may have.
func gather(first *addition, lane <-chan *addition) (mine []*addition) {
	bytes := 0
	for a := first; ; {
		if a.take() {
			mine = append(mine, a)
			for _, d := range a.drafts {
				bytes += len(d.Body)
			}
		}
		if len(mine) == maxGroup || bytes >= maxBytes {
			return mine
		}
		select {
		case a = <-lane:
		default:
			return mine
		}
	}
}

// again tells whether what failed for a group is worth a try by each alone: the server has
// refused it, for the sake of one perhaps, or a connection broke. Of a server that says
// nothing that is all there is to know.
func again(err error) bool {
	if _, refused := errors.AsType[*pgconn.PgError](err); refused {
		return true
	}
	return temporary(err) && !pgconn.Timeout(err) && !errors.Is(err, context.DeadlineExceeded)
}
