package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slack is what a machine adds to any bound that has a processor left.
const slack = 2 * time.Second

// watch takes the time of something for which there is a bound. It stands while somebody
// waits for a processor or a disk: what takes long then says nothing of the program.
type watch struct {
	began   time.Time
	stalled time.Duration
}

func newWatch() watch { return watch{time.Now(), stalled()} }

// within fails the test if more than a time and the slack has gone by.
func (w watch) within(t *testing.T, what string, bound time.Duration) {
	t.Helper()
	all := time.Since(w.began)
	if took := all - (stalled() - w.stalled); took > bound+slack {
		t.Errorf("%s took %v, and %v while nobody waited for the machine; want at most %v", what, all, took, bound)
	}
}

// started is for systems that do not tell when they are busy: there all time stands.
var started = time.Now()

// stalled is for how long somebody on this machine has waited for a processor or a disk
// since it started: the pressure stall information of Linux.
func stalled() (total time.Duration) {
	for _, what := range []string{"cpu", "io"} {
		text, err := os.ReadFile("/proc/pressure/" + what)
		_, some, _ := strings.Cut(string(text), "total=") // the first line is of some who wait, not of all
		some, _, _ = strings.Cut(some, "\n")
		micros, err2 := strconv.ParseInt(some, 10, 64)
		if err != nil || err2 != nil {
			return time.Since(started)
		}
		total += time.Duration(micros) * time.Microsecond
	}
	return total
}
