package postgres

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

const (
	lanes    = 4       // commits of additions at a time; a conversation has its lane
	maxLane  = 512     // additions that wait in a lane; beyond, callers wait to get in
	maxGroup = 256     // additions of one commit
	maxBytes = 4 << 20 // of a group's bodies, but for the last one's
)

// errStopped refuses additions after Run has ended: nothing was written.
var errStopped = fault.New(fault.Unavailable, "the store is shutting down")

// errAlone is the outcome of an addition that is to be tried by itself: its group has
// written nothing of it, or may have, and then the ids of its drafts tell, and its turn.
var errAlone = errors.New("not with others")

// wish is what a call adds to a conversation.
type wish struct {
	what      string // is being done
	id        chat.ID
	drafts    []chat.Draft
	at, until time.Time
	ends      *ending // nil: none
}

// result is what has come of a wish.
type result struct {
	messages []chat.Message
	turn     *bot.Turn // that was leased
	there    bool      // the turn that is to end
	ended    bool      // it, and now
	outcome  error
}

// addition is a wish on its way.
type addition struct {
	wish
	result

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
// Appends and answers to many conversations share commits. They wait for Run to begin.
func (s *Store) AppendMessages(ctx context.Context, id chat.ID, drafts []chat.Draft, at, until time.Time) ([]chat.Message, *bot.Turn, error) {
	r, err := s.add(ctx, wish{what: "append messages", id: id, drafts: drafts, at: at, until: until})
	return r.messages, r.turn, err
}

// add commits what is wished for, with others or alone. If it returns an error the result
// is empty.
func (s *Store) add(ctx context.Context, w wish) (result, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		within, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = within
	}
	a := &addition{wish: w}
	err := s.addWithOthers(ctx, a)
	if errors.Is(err, errAlone) {
		a = &addition{wish: w}
		err = s.addAlone(ctx, a)
	}
	if err != nil {
		return result{}, err
	}
	return a.result, nil
}

// apply adds a to where its conversation stands. It is refused before anything is written.
func (a *addition) apply(b *pgx.Batch, w *writes, p *place, in table.Contexts) error {
	if a.ends != nil {
		if !a.there || slices.Contains(p.ended, turnKey{a.ends.turn.Seq, table.HookAt(a.ends.turn)}) {
			return nil // the first answer counts
		}
		if err := p.end(b, w, a.ends, a.at, in); err != nil {
			return err
		}
		a.ended = true
	}
	if !a.until.IsZero() {
		if err := p.open(in); err != nil {
			return err
		}
	}
	a.messages, a.turn = p.append(w, a.drafts, a.at, a.until)
	return nil
}

// addWithOthers hands a to its lane and waits for the commit. When ctx ends before a group
// has taken it, nothing is written.
func (s *Store) addWithOthers(ctx context.Context, a *addition) error {
	if err := ctx.Err(); err != nil {
		return explain(a.what, err)
	}
	a.done = make(chan struct{})
	select {
	case s.lanes[maphash.String(s.seed, string(a.id))%lanes] <- a:
	case <-ctx.Done():
		return explain(a.what, ctx.Err())
	case <-s.stopped:
		return errStopped
	}
	select {
	case <-a.done:
		return a.outcome
	case <-ctx.Done():
		if a.take() {
			return explain(a.what, ctx.Err())
		}
	case <-s.stopped:
		if a.take() {
			return errStopped
		}
	}
	<-a.done
	return a.outcome
}

// take claims a. Whoever gets true decides what becomes of it.
func (a *addition) take() bool { return a.taken.CompareAndSwap(false, true) }

// addAlone waits for others who write to the conversation, and takes nothing for granted.
func (s *Store) addAlone(ctx context.Context, a *addition) error {
	g := newGroup([]*addition{a}, nil)
	err := s.exchange(ctx, a.what, g.read(movePlaces), g.decide(s.contexts))
	if err != nil {
		return err
	}
	if g.note(s.known); errors.Is(a.outcome, errAlone) {
		return table.ErrNoConversation
	}
	return a.outcome
}

// ride commits the additions of a lane, group by group, until ctx ends, and then those that
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

// commitGroup commits an addition and those behind it. If somebody holds one of their
// conversations, what is held is left out: groups do not wait for one another in a circle.
func (s *Store) commitGroup(ctx context.Context, first *addition, lane <-chan *addition) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	mine := gather(first, lane) // only now: while there was no connection, callers may have left
	alone := false
	if err == nil {
		if len(mine) > 0 {
			if err = s.commit(ctx, conn.Conn(), mine, movePlaces); held(err) {
				err = s.commit(ctx, conn.Conn(), mine, moveFreePlaces)
			}
			alone = err != nil && again(err)
		}
		conn.Release()
	}
	for _, a := range mine {
		switch {
		case alone:
			a.outcome = errAlone
		case err != nil:
			a.outcome = explain(a.what, err)
		}
		close(a.done)
	}
}

// brief is how long a group waits for who holds one of its conversations, which is mostly
// somebody who commits: longer than that takes, and shorter than the server needs to find
// out that two wait for one another. For what comes after the move it has the usual time:
// that nobody who holds a conversation stands in the way of.
const brief = `SET LOCAL lock_timeout = '50ms'`

var usual = `SET LOCAL lock_timeout = ` + milliseconds(lockTimeout)

// commit commits what can be had with a statement that moves places.
func (s *Store) commit(ctx context.Context, conn *pgx.Conn, all []*addition, move string) error {
	g := newGroup(all, s.known)
	err := exchange(ctx, conn, func(b *pgx.Batch) {
		b.Queue(brief)
		g.read(move)(b)
		b.Queue(usual)
	}, g.decide(s.contexts))
	if err == nil {
		g.note(s.known)
	}
	return err
}

// held tells whether somebody held what was to be locked.
func held(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "55P03" || e.Code == "40P01") // in time; a deadlock
}

// gather claims an addition and those that wait behind it, as many as a group may have.
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
