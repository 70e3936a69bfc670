package securesession

import (
	"testing"
	"time"
)

// TestMutants breaks one rule at a time, and the model must notice.
func TestMutants(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*rules){
		"2: good at its very end": func(r *rules) {
			r.stands = func(r Record, p Print, now time.Time) bool {
				return r.State == Allowed && r.Print == p && !now.After(r.Until)
			}
		},
		"2: good for other inputs": func(r *rules) {
			r.stands = func(r Record, _ Print, now time.Time) bool { return r.State == Allowed && now.Before(r.Until) }
		},
		"2: good whatever it says": func(r *rules) {
			r.stands = func(r Record, p Print, now time.Time) bool {
				return r.Print == p && (now.Before(r.Until) || now.Before(r.At.Add(tick)))
			}
		},
		"2: good without end": func(r *rules) {
			r.stands = func(r Record, p Print, _ time.Time) bool { return r.State == Allowed && r.Print == p }
		},
		"2: never good": func(r *rules) {
			r.stands = func(Record, Print, time.Time) bool { return false }
		},
		"7: joins with other inputs": func(r *rules) {
			r.joins = func(*Policy, flight, waiting) bool { return true }
		},
		"7: joins too late": func(r *rules) {
			r.joins = func(p *Policy, f flight, w waiting) bool { return p.Interval > 0 && w.Print == f.print }
			r.covers = func(flight, waiting) bool { return true }
		},
		"7: shares an answer for one message": func(r *rules) {
			r.joins = func(_ *Policy, f flight, w waiting) bool { return w.Print == f.print }
			r.covers = func(flight, waiting) bool { return true }
		},
		"10: a shorter yes lets all in that wait": func(r *rules) {
			r.covers = func(flight, waiting) bool { return true }
		},
		"10: longer than it began": func(r *rules) {
			r.until = func(p *Policy, start time.Time, _ Answer) time.Time { return start.Add(p.Interval + tick) }
		},
		"10: longer than the answer says": func(r *rules) {
			r.until = func(p *Policy, start time.Time, _ Answer) time.Time { return start.Add(p.Interval) }
		},
		"13: grace after a no": func(r *rules) {
			kept := r.known
			r.known = func(p *Policy, local Record, e Leased, now time.Time) Record {
				if local.State == Allowed {
					return local
				}
				return kept(p, local, e, now)
			}
		},
		"14: grace without end": func(r *rules) {
			r.graced = func(_ *Policy, prior Record, f flight, _ Answer, _ time.Time) bool {
				return prior.State == Allowed && prior.Print == f.print
			}
		},
		"14: grace at its very end": func(r *rules) {
			r.graced = func(p *Policy, prior Record, f flight, _ Answer, now time.Time) bool {
				return prior.State == Allowed && prior.Print == f.print && !now.After(prior.Until.Add(p.Grace))
			}
		},
		"14: grace for others": func(r *rules) {
			r.graced = func(p *Policy, prior Record, _ flight, _ Answer, now time.Time) bool {
				return prior.State == Allowed && now.Before(prior.Until.Add(p.Grace))
			}
		},
		"14: grace for who was refused": func(r *rules) {
			r.graced = func(p *Policy, prior Record, f flight, _ Answer, _ time.Time) bool {
				return p.Grace > 0 && prior.Print == f.print
			}
		},
		"15: a no for other inputs": func(r *rules) {
			r.refused = func(p *Policy, r Record, _ Print, now time.Time) bool {
				return r.State == Denied && now.Before(r.At.Add(p.DenyInterval))
			}
		},
		"15: a no without end": func(r *rules) {
			r.refused = func(_ *Policy, r Record, of Print, _ time.Time) bool { return r.State == Denied && r.Print == of }
		},
		"15: a no that is longer good": func(r *rules) {
			r.refused = func(p *Policy, r Record, of Print, now time.Time) bool {
				return r.State == Denied && r.Print == of && !now.After(r.At.Add(p.DenyInterval))
			}
		},
		"19: what other nodes know is not asked for": func(r *rules) {
			r.known = func(_ *Policy, local Record, _ Leased, _ time.Time) Record { return local }
		},
		"20: a yes that the store did not confirm": func(r *rules) {
			kept := r.known
			r.known = func(p *Policy, local Record, e Leased, now time.Time) Record {
				if e.Unread {
					return Record{State: Allowed, Print: printOf(1), Until: now.Add(p.Interval)}
				}
				return kept(p, local, e, now)
			}
		},
		"21: no lease": func(r *rules) {
			r.leases = func(Leased) bool { return true }
		},
		"21: a late answer stays": func(r *rules) {
			r.lost = func(Saved) bool { return false }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := written
			edit(&broken)
			for _, a := range arenas() {
				if _, err := explore(&a.policy, broken, a.bounds, false); err != nil {
					return
				}
			}
			t.Error("the model did not notice")
		})
	}
}
