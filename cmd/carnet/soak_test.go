package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/soak"
)

// tormented is a node that a soak may treat as it likes.
type tormented struct{ *node }

func (n tormented) Address() string { return strings.TrimPrefix(n.public, "http://") }

func (n tormented) Start() error {
	n.serve()
	return nil
}

func (n tormented) Kill() error {
	n.stop(os.Kill)
	return nil
}

func (n tormented) Pause() error  { return n.cmd.Process.Signal(syscall.SIGSTOP) }
func (n tormented) Resume() error { return n.cmd.Process.Signal(syscall.SIGCONT) }

// TestSoak torments a node, its connections and its bot for about half a minute, or as
// long as the variable SOAK says, and looks whether anybody has lost a message by it.
// SEED repeats what chance has chosen.
func TestSoak(t *testing.T) {
	t.Parallel()
	n := newNode(t, soakEnviron()...)
	soaked(t, soak.Config{
		Faults: 16 * time.Second, Calm: 9 * time.Second, Kills: 1500 * time.Millisecond, // a killed node's turns are taken over after 15 s
		Nodes: []soak.Node{tormented{n}},
	}, []*node{n})
}

// soakEnviron is what nodes need to be soaked: nobody is refused for coming often, and
// tokens expire while they are used.
func soakEnviron() []string {
	return []string{
		"CARNET_LOG_LEVEL=error", "CARNET_LIMITS_STS_PER_IP=none", "CARNET_LIMITS_STS_PER_APP=none", "CARNET_LIMITS_STS_PER_IDENTITY=none",
		"CARNET_CHAT_CONNECTIONS_PER_IP=100000", "CARNET_CHAT_CONNECTS_PER_IP=none", "CARNET_CHAT_SENDS_PER_USER=none",
		"CARNET_TOKENS_STS_TTL=6s",
	}
}

// soaked runs a soak over nodes, which have not been started.
func soaked(t *testing.T, c soak.Config, nodes []*node) {
	t.Helper()
	c.Seed, c.Log, c.Patience = rand.Uint64(), t.Logf, 3*time.Minute
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if c.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	if text := os.Getenv("SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("SOAK: %v", err)
		}
		c.Faults, c.Calm, c.Kills = d, min(d/2, 15*time.Second), 12*time.Second
	}
	c.BotSecret, c.BotToken = botSecret, "a-token-for-pushes-0123456789"
	credentials := nodes[0].credentials("soak", "--identity", "trusted")
	c.App, c.Secret = credentials["client_id"], credentials["client_secret"]
	run, err := soak.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.secret("bot", c.BotSecret)
		n.secret("push", c.BotToken)
		n.file(`
chat:
  bots:
    ` + soak.BotName + `:
      type: webhook
      url: http://` + run.Bot() + `
      secret: srn:vault::default:secret:bot
      token: srn:vault::default:secret:push
      timeout: 2s
      give_up_after: 1h
      attempts: 1000
`)
	}
	record, err := run.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrong := soak.Check(record)
	for i, w := range wrong {
		if i == 30 {
			t.Errorf("… and %d more", len(wrong)-i)
			break
		}
		t.Error(w)
	}
	if t.Failed() {
		t.Errorf("SEED=%d", c.Seed)
	}
}

// credentials registers an app and reads what is printed of it.
func (n *node) credentials(args ...string) map[string]string {
	n.t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(n.carnet(append([]string{"apps", "add"}, args...)...)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	return values
}
