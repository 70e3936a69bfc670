package main

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/user"
)

const benchPassword = "correct horse battery staple"

// signInGroup measures how many people sign in by their passwords, beside bare argon2id
// of the same parameters on all cores; and how many refresh their tokens, each commit of
// which is durable.
func signInGroup() group {
	return group{[]string{"login/argon2id", "token/refresh"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureSignIn(ctx, dir, report) })
	}}
}

func measureSignIn(ctx context.Context, dir string, report func(Result)) error {
	n, err := startNode(ctx, dir, "")
	if err != nil {
		return err
	}
	defer n.stop()
	c, err := n.newClient(ctx, jose.ES256)
	if err != nil {
		return err
	}
	if err := n.addUser(ctx, "ann"); err != nil {
		return err
	}
	var ours, reference []float64
	for range loadRounds {
		rate, err := inTurns(ctx, func() error { _, err := c.signIn(); return err })
		if err != nil {
			return err
		}
		ours, reference = append(ours, rate), append(reference, bareArgonRate(user.DefaultCost))
	}
	cost := user.DefaultCost
	report(beside("login/argon2id", fmt.Sprintf("req/s (%d MiB, t=%d, p=%d)", cost.Memory/1024, cost.Passes, cost.Threads), median(ours), median(reference)))

	refresh, err := c.refreshing()
	if err != nil {
		return err
	}
	rate, err := inTurns(ctx, refresh)
	if err != nil {
		return err
	}
	report(alone("token/refresh", "req/s", rate))
	return nil
}

func (n *node) addUser(ctx context.Context, name string) error {
	cmd := exec.CommandContext(ctx, n.bin, "users", "add", name, "--config", n.config)
	cmd.Stdin = strings.NewReader(benchPassword)
	return cmd.Run()
}

// signIn returns a refresh token.
func (c *client) signIn() (refresh string, err error) {
	var answer struct {
		Refresh string `json:"refresh_token"`
	}
	err = c.post("/login", url.Values{"username": {"ann"}, "password": {benchPassword}}, &answer)
	return answer.Refresh, err
}

// refreshing returns what shows a refresh token for the next one, of as many sign-ins as
// there are connections.
func (c *client) refreshing() (func() error, error) {
	tokens := make(chan string, connections)
	for range connections {
		token, err := c.signIn()
		if err != nil {
			return nil, err
		}
		tokens <- token
	}
	return func() error {
		var answer struct {
			Refresh string `json:"refresh_token"`
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {<-tokens}}
		if err := c.post("/oauth2/token", form, &answer); err != nil {
			return err
		}
		tokens <- answer.Refresh
		return nil
	}, nil
}

// inTurns calls do on as many goroutines as load has connections and returns how often a
// second.
func inTurns(ctx context.Context, do func() error) (rate float64, err error) {
	var count atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range connections {
		g.Go(func() error {
			for ctx.Err() == nil && time.Since(start) < loadTime {
				if err := do(); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	return float64(count.Load()) / time.Since(start).Seconds(), err
}

// bareArgonRate hashes on all cores.
func bareArgonRate(cost user.Cost) float64 {
	var count atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Since(start) < loadTime {
				argon2.IDKey([]byte(benchPassword), []byte("0123456789abcdef"), cost.Passes, cost.Memory, cost.Threads, 32)
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}
