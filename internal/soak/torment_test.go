package soak

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// noting is a node that notes what is done to it, and when.
type noting struct {
	still
	start time.Time
	log   []string
	kills []time.Duration
}

func (n *noting) note(what string) error {
	n.log = append(n.log, fmt.Sprintf("%s %s", what, time.Since(n.start)))
	return nil
}

func (n *noting) Start() error { return n.note("start") }
func (n *noting) Kill() error {
	n.kills = append(n.kills, time.Since(n.start))
	return n.note("kill")
}
func (n *noting) Pause() error  { return n.note("pause") }
func (n *noting) Resume() error { return n.note("resume") }

// tormented is what a minute of torment does to a node.
func tormented(t *testing.T, seed uint64) *noting {
	t.Helper()
	n := &noting{}
	r := newTestRun(t, func(c *Config) {
		c.Nodes, c.Seed = []Node{n}, seed
		c.Faults, c.Calm, c.Kills = time.Minute, 20*time.Second, 5*time.Second
		for _, name := range []string{"away", "cut"} {
			c.Outages = append(c.Outages, Outage{
				Name:  name,
				Begin: func() error { return n.note("begin " + name) },
				End:   func() error { return n.note("end " + name) },
			})
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n.start = time.Now()
		if err := r.torment(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(n.start); took < time.Minute || took > time.Minute+5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	return n
}

func TestTorment(t *testing.T) {
	t.Parallel()
	n := tormented(t, 1)
	if len(n.kills) < 4 || n.kills[len(n.kills)-1] > 40*time.Second {
		t.Errorf("killed at %s", n.kills)
	}
	trouble, before := "", map[string]int{}
	for _, line := range n.log {
		what, _, _ := strings.Cut(line, " ")
		before[what]++
		switch what {
		case "pause", "begin":
			if trouble != "" {
				t.Errorf("two troubles at once: %s", n.log)
			}
			trouble = line
		case "resume", "end":
			trouble = ""
		case "kill":
			if trouble != "" {
				t.Errorf("killed during %q: %s", trouble, n.log)
			}
		}
	}
	if trouble != "" || before["pause"] < 2 || before["begin"] < 6 {
		t.Errorf("done to the node: %s", n.log)
	}
}

// TestOutages shows that each has its turn, and that one which cannot be made ends the run.
func TestOutages(t *testing.T) {
	t.Parallel()
	n, begun := tormented(t, 1), map[string]int{}
	for _, line := range n.log {
		if f := strings.Fields(line); f[0] == "begin" {
			begun[f[1]]++
		}
	}
	if d := begun["away"] - begun["cut"]; begun["cut"] == 0 || d < -1 || d > 1 {
		t.Errorf("outages: %v", begun)
	}
	broken := errors.New("no such process")
	for name, o := range map[string]Outage{
		"begin": {"x", func() error { return broken }, func() error { return nil }},
		"end":   {"x", func() error { return nil }, func() error { return broken }},
	} {
		r := newTestRun(t, func(c *Config) { c.Outages, c.Faults = []Outage{o}, time.Minute })
		synctest.Test(t, func(t *testing.T) {
			if err := r.torment(t.Context()); !errors.Is(err, broken) {
				t.Errorf("%s: torment() = %v, want %v", name, err, broken)
			}
		})
	}
}

// TestTormentRepeats shows that a seed says what is done, and when.
func TestTormentRepeats(t *testing.T) {
	t.Parallel()
	a, b, c := tormented(t, 1), tormented(t, 1), tormented(t, 2)
	if !slices.Equal(a.log, b.log) {
		t.Errorf("one seed, two runs:\n%s\n%s", a.log, b.log)
	}
	if slices.Equal(a.log, c.log) {
		t.Error("two seeds do the same")
	}
}

// TestSettled shows what a run waits for at its end.
func TestSettled(t *testing.T) {
	t.Parallel()
	r := newTestRun(t, func(c *Config) { c.Conversations = 1 })
	a, b := r.clients[0], r.clients[1] // of one user
	welcomed := frame{Type: "message", Seq: 1, ID: "b", From: "bot", Body: []byte(`{"text":"welcome"}`)}
	for i, step := range []struct {
		does func()
		want bool
	}{
		{func() {}, false},
		{func() { a.hello(); a.hear(t.Context(), nil, welcomed) }, false},
		{func() { b.hello(); b.hear(t.Context(), nil, welcomed) }, true},
		{func() { a.waits = 1 }, false},
		{func() { a.waits = 0; b.last = 2 }, false},
	} {
		if step.does(); r.settled() != step.want {
			t.Errorf("step %d: settled is %v", i, !step.want)
		}
	}
}

func TestNewNeedsAll(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Nodes: []Node{still{}}, App: "a"}); err == nil {
		t.Error("New() takes a configuration without secrets")
	}
}
