package key

import (
	"fmt"

	"github.com/carnetproject/carnet/internal/jose"
)

// Overdue names the lines of keys, as set/algorithm, of which one signs for longer than
// the set's rotation period, though no successor is pending: what rotates them is stuck.
func (r *Ring) Overdue() (lines []string) {
	p := newPlan(r.clock(), r.current.Load().keys)
	for i := range r.specs {
		spec := &r.specs[i]
		for _, alg := range spec.Algorithms {
			if p.overdue(spec, alg) {
				lines = append(lines, fmt.Sprintf("%s/%s", spec.Name, alg))
			}
		}
	}
	return lines
}

func (p *plan) overdue(spec *Spec, alg jose.Algorithm) bool {
	if spec.Rotation == 0 || len(p.in(Pending, spec.Name, alg)) > 0 {
		return false
	}
	for _, k := range p.in(Active, spec.Name, alg) {
		if k.Retire.IsZero() && p.now.Sub(k.Active) > spec.Rotation {
			return true
		}
	}
	return false
}
