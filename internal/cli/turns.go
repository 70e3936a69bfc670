package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

type turnsCommand struct {
	List  turnsList  `cmd:"" help:"List turns that bots were given up on, oldest first."`
	Show  turnsShow  `cmd:"" help:"Show one, with the message that has no answer."`
	Retry turnsRetry `cmd:"" help:"Have the bot called again."`
	Drop  turnsDrop  `cmd:"" help:"Forget turns. The messages stay."`

	Waiting turnsWaiting `cmd:"" help:"Count the turns that wait for each bot, be it there or not."`
}

// turnRow is a turn as lists show it. What was said is not in it.
type turnRow struct {
	ID           int64  `json:"id"`
	Bot          string `json:"bot"`
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	MessageID    string `json:"message_id"`
	Attempts     int    `json:"attempts"`
	GivenUp      string `json:"given_up"`
	Reason       string `json:"reason"`
}

func rowOf(d bot.Dead) turnRow {
	t := d.Turn
	return turnRow{d.ID, string(t.Bot), t.Conversation, t.Seq, t.MessageID, t.Attempt, moment(d.Since), d.Reason}
}

type turnsList struct {
	listing
	Bot string `placeholder:"NAME" help:"Only those of this bot."`
}

// Run prints the turns.
func (c turnsList) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		rows, cells := []turnRow{}, [][]string{}
		err := eachDead(ctx, core.Turns(), c.Bot, func(d bot.Dead) error {
			row := rowOf(d)
			rows = append(rows, row)
			cells = append(cells, []string{
				strconv.FormatInt(row.ID, 10), row.Bot, row.Conversation, strconv.FormatInt(row.Seq, 10),
				strconv.Itoa(row.Attempts), row.GivenUp, strings.Join(strings.Fields(row.Reason), " "),
			})
			return nil
		})
		if err != nil {
			return err
		}
		return c.print(s.Out, rows, "ID BOT CONVERSATION SEQ ATTEMPTS GIVEN-UP REASON", cells)
	})
}

// eachDead calls f for the turns of a bot, "" for all.
func eachDead(ctx context.Context, turns server.Turns, of string, f func(bot.Dead) error) error {
	for after := int64(0); ; {
		page, err := turns.List(ctx, bot.ID(of), after, listPage)
		if err != nil {
			return err
		}
		for _, d := range page {
			if err := f(d); err != nil {
				return err
			}
			after = d.ID
		}
		if len(page) < listPage {
			return nil
		}
	}
}

type turnsWaiting struct{ listing }

// Run prints how many there are.
func (c turnsWaiting) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		waiting, err := core.Turns().Waiting(ctx)
		if err != nil {
			return err
		}
		type row struct {
			Bot     string `json:"bot"`
			Waiting int64  `json:"waiting"`
		}
		rows, cells := []row{}, [][]string{}
		for _, of := range slices.Sorted(maps.Keys(waiting)) {
			rows = append(rows, row{string(of), waiting[of]})
			cells = append(cells, []string{string(of), strconv.FormatInt(waiting[of], 10)})
		}
		return c.print(s.Out, rows, "BOT WAITING", cells)
	})
}

type turnsShow struct {
	ID int64 `arg:"" help:"As carnet turns list shows it."`
}

// Run prints the turn as JSON.
func (c turnsShow) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		d, err := core.Turns().Find(ctx, c.ID)
		if err != nil {
			return err
		}
		t := d.Turn
		return printJSON(s.Out, struct {
			turnRow
			Kind string            `json:"kind"`
			At   string            `json:"at"`
			User map[string]string `json:"user"`
			Body json.RawMessage   `json:"body,omitempty"`
		}{rowOf(d), string(t.Kind), moment(t.At), map[string]string{"iss": t.User.Issuer, "sub": t.User.Subject}, t.Body})
	})
}

// chosen are the turns that a command is about.
type chosen struct {
	IDs []int64 `arg:"" optional:"" name:"id" help:"As carnet turns list shows them."`
	All bool    `help:"All of them, or with --bot all of that bot's."`
	Bot string  `placeholder:"NAME" help:"With --all: only those of this bot."`
}

// each calls f for the turns' ids, and tells how many there were.
func (c chosen) each(ctx context.Context, turns server.Turns, f func(id int64) error) (n int, err error) {
	switch {
	case c.All == (len(c.IDs) > 0):
		return 0, fault.New(fault.Invalid, "name turns by their ids, or all of them with --all")
	case c.Bot != "" && !c.All:
		return 0, fault.New(fault.Invalid, "--bot goes with --all")
	case c.All:
		// Those that are given up anew meanwhile are not among them.
		err = eachDead(ctx, turns, c.Bot, func(d bot.Dead) error { c.IDs = append(c.IDs, d.ID); return nil })
	}
	for _, id := range c.IDs {
		if err == nil {
			err = f(id)
		}
		if c.All && fault.KindOf(err) == fault.NotFound { // somebody else was quicker
			err = nil
			continue
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, err
}

type turnsRetry struct{ chosen }

// Run puts the turns back.
func (c turnsRetry) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		turns := core.Turns()
		n, err := c.each(ctx, turns, func(id int64) error {
			return s.record(ctx, core, turns.Retry(ctx, id), audit.Entry{Action: audit.TurnRetry, Object: strconv.FormatInt(id, 10)})
		})
		s.noteTurns(n, "put back: running nodes call the bot within seconds")
		return err
	})
}

type turnsDrop struct{ chosen }

// Run forgets the turns.
func (c turnsDrop) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		turns := core.Turns()
		n, err := c.each(ctx, turns, func(id int64) error {
			return s.record(ctx, core, turns.Drop(ctx, id), audit.Entry{Action: audit.TurnDrop, Object: strconv.FormatInt(id, 10)})
		})
		s.noteTurns(n, "dropped")
		return err
	})
}

func (s *shell) noteTurns(n int, what string) {
	s.note("%s %s", cmp.Or(map[int]string{1: "1 turn"}[n], fmt.Sprintf("%d turns", n)), what)
}
