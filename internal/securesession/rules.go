package securesession

import "time"

// rules are the guards of the machine's rows. Each is a pure function, so that a test can
// show what breaks when one of them is wrong.
type rules struct {
	// stands: the record lets a message in (2).
	stands func(r Record, p Print, now time.Time) bool
	// refused: the record keeps a message out (15).
	refused func(p *Policy, r Record, of Print, now time.Time) bool
	// joins: a message shares the answer of a flight (7, 9).
	joins func(p *Policy, f flight, w waiting) bool
	// known is the record that counts from now on, after the store was asked (19, 20).
	known func(p *Policy, local Record, e Leased, now time.Time) Record
	// leases: the authorizer may be called (21).
	leases func(e Leased) bool
	// until is how long a yes is good (10).
	until func(p *Policy, start time.Time, a Answer) time.Time
	// covers: a yes lets in a message that waits for it (10).
	covers func(f flight, w waiting) bool
	// graced: an old yes is good a little longer, since no answer was to be had (14).
	graced func(p *Policy, prior Record, f flight, a Answer, now time.Time) bool
	// lost: another node's newer record takes the place of the answer (21).
	lost func(e Saved) bool
}

// written are the rules as the table has them.
var written = rules{
	stands: func(r Record, p Print, now time.Time) bool {
		return r.State == Allowed && r.Print == p && now.Before(r.Until)
	},
	refused: func(p *Policy, r Record, of Print, now time.Time) bool {
		return r.State == Denied && r.Print == of && now.Before(r.At.Add(p.DenyInterval))
	},
	joins: func(p *Policy, f flight, w waiting) bool {
		early := f.phase == leasing || w.arrived.Before(f.start.Add(p.Interval))
		return p.Interval > 0 && w.Print == f.print && !w.Missing && early
	},
	known: func(p *Policy, local Record, e Leased, now time.Time) Record {
		if e.Unread {
			return Record{}
		}
		if !e.Record.Began.After(local.Began) {
			return local
		}
		if bound := now.Add(p.Interval); e.Record.Until.After(bound) {
			e.Record.Until = bound // the other node's clock is ahead
		}
		if e.Record.At.After(now) {
			e.Record.At = now // likewise
		}
		return e.Record
	},
	leases: func(e Leased) bool { return !e.Elsewhere },
	until: func(p *Policy, start time.Time, a Answer) time.Time {
		valid := p.Interval
		if p.HonourMaxAge && a.Bounded {
			valid = min(valid, a.MaxAge)
		}
		return start.Add(valid)
	},
	covers: func(f flight, w waiting) bool {
		shared := f.found.Until.After(f.start) && w.arrived.Before(f.found.Until)
		return w.ID == f.caller || shared
	},
	graced: func(p *Policy, prior Record, f flight, a Answer, now time.Time) bool {
		return (a.Class == Failure || a.Class == Open) &&
			prior.State == Allowed && prior.Print == f.print && now.Before(prior.Until.Add(p.Grace))
	},
	lost: func(e Saved) bool { return e.Lost },
}
