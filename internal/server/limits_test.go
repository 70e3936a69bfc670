package server

import (
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

func TestUnseen(t *testing.T) {
	t.Parallel()
	if s := (&bus{}).newUnseen(); s != nil {
		t.Error("nodes that share nothing have something to share")
	}
	with := &bus{limits: limit.NewShared(limit.SharedConfig{Remote: unseen{limit.NewCounters(0)}})}
	r := &limit.Rule{Quotas: limit.Quotas{limit.Year: 1}}
	for _, s := range []*limit.Shared{with.newUnseen(), with.newUnseen(), with.limits} {
		for i, ok := range []bool{true, false} {
			if u, err := s.Take(t.Context(), limit.NewID("x"), r, time.Now()); err != nil || u.OK != ok {
				t.Errorf("event %d: OK = %v, %v; want %v, each for itself", i, u.OK, err, ok)
			}
		}
	}
	all, _, err := unseen{}.Add(t.Context(), make([]limit.Delta, 3))
	if err != nil || len(all) != 3 || all[0] != (limit.Count{}) {
		t.Errorf("Add() = %v, %v; want nothing of three", all, err)
	}
}
