package limit

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	const every, burst = time.Second / 200, 400
	var p Pace
	passed := 0
	for range 1000 {
		if p.Allow(time.Hour, every, burst) {
			passed++
		}
	}
	if passed != burst {
		t.Errorf("%d passed at once, want %d", passed, burst)
	}
	if p.Allow(time.Hour+every-1, every, burst) {
		t.Error("one passed early")
	}
	if !p.Allow(time.Hour+every, every, burst) {
		t.Error("one more did not pass in time")
	}
}
