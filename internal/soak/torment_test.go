package soak

import (
	"fmt"
	"slices"
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
	awake := true
	for _, line := range n.log {
		switch line[:5] {
		case "pause":
			awake = false
		case "resum":
			awake = true
		case "kill ":
			if !awake {
				t.Errorf("killed while it was paused: %s", n.log)
			}
		}
	}
	if !awake || len(n.log) < 2*len(n.kills)+4 {
		t.Errorf("done to the node: %s", n.log)
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
