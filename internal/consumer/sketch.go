package consumer

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Sketch counts distinct credentials in bounded space: the marks themselves while they
// are few, then a HyperLogLog (Flajolet et al. 2007) that is right within about 3 %.
// The zero value has seen none. It is bytes, so that a store can keep it.
type Sketch []byte

const (
	markSize  = 8
	maxMarks  = 64                 // that a sketch keeps as they are
	precision = 10                 // bits of a mark that choose its register
	registers = 1 << precision     // one byte each
	maxRank   = 64 - precision + 1 // of a register
	biasAlpha = 0.7213 / (1 + 1.079/registers)
)

// markOf is a hash of a credential's key that is the same on every node (FNV-1a, with
// the finalizer of MurmurHash3 so that all bits count alike). It is never 0.
func markOf(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return max(h, 1)
}

// place is the register of a mark, and what it is raised to.
func place(mark uint64) (register int, rank uint8) {
	return int(mark >> (64 - precision)), uint8(bits.LeadingZeros64(mark<<precision|1<<(precision-1)) + 1)
}

func (s Sketch) dense() bool { return len(s) == registers }

// Add returns the sketch with a mark more. It may change s.
func (s Sketch) Add(mark uint64) Sketch {
	if s.dense() {
		if r, rank := place(mark); s[r] < rank {
			s[r] = rank
		}
		return s
	}
	for i := 0; i < len(s); i += markSize {
		if binary.LittleEndian.Uint64(s[i:]) == mark {
			return s
		}
	}
	if len(s) < maxMarks*markSize {
		return binary.LittleEndian.AppendUint64(s, mark)
	}
	full := make(Sketch, registers)
	for i := 0; i < len(s); i += markSize {
		full = full.Add(binary.LittleEndian.Uint64(s[i:]))
	}
	return full.Add(mark)
}

// Merge returns what saw all that s and o saw. It changes neither. Bytes that are no
// sketch have seen nothing.
func (s Sketch) Merge(o Sketch) Sketch {
	s, o = s.checked(), o.checked()
	if o.dense() {
		s, o = o, s
	}
	all := slices.Clone(s)
	if !o.dense() {
		for i := 0; i < len(o); i += markSize {
			all = all.Add(binary.LittleEndian.Uint64(o[i:]))
		}
		return all
	}
	for r := range all {
		all[r] = max(all[r], o[r])
	}
	return all
}

// checked is s, empty if it is none.
func (s Sketch) checked() Sketch {
	if s.dense() && slices.Max(s) <= maxRank || len(s)%markSize == 0 && len(s) <= maxMarks*markSize {
		return s
	}
	return nil
}

// Count is how many distinct marks were seen.
func (s Sketch) Count() int {
	s = s.checked()
	if !s.dense() {
		return len(s) / markSize
	}
	sum, zero := 0.0, 0
	for _, rank := range s {
		sum += math.Ldexp(1, -int(rank))
		if rank == 0 {
			zero++
		}
	}
	estimate := biasAlpha * registers * registers / sum
	if estimate <= 2.5*registers && zero > 0 {
		estimate = registers * math.Log(registers/float64(zero)) // linear counting
	}
	return int(math.Round(estimate))
}
