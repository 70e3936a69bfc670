package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/carnetproject/carnet/internal/bus/redis"
	"github.com/carnetproject/carnet/internal/limit"
)

const (
	sharedCallers = 64
	sharedTime    = time.Second
	sharedRounds  = 5
)

// sharedGroup measures the check of a limit that nodes share, for 10,000 devices, beside
// INCR, the least that counts in Redis: how many there are in a second, of many callers
// at once, and how long one takes that is alone.
func sharedGroup() group {
	return group{[]string{"redis/limit", "redis/limit wait"}, func(ctx context.Context, report func(Result)) error {
		ctx, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer func() {
			stop()
			running.Wait()
		}()
		url, err := startRedis(ctx)
		if err != nil {
			return err
		}
		client, err := redis.New(url, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		running.Go(func() { _ = client.Run(ctx) })
		if err := retry(ctx, client.Ping); err != nil {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
		option, err := rueidis.ParseURL(url)
		if err != nil {
			return err
		}
		option.DisableCache = true
		bare, err := rueidis.NewClient(option)
		if err != nil {
			return err
		}
		defer bare.Close()

		counters := redis.NewCounters(client, "bench")
		rule := &limit.Rule{Quotas: limit.Quotas{limit.Minute: limit.MaxN, limit.Hour: limit.MaxN}}
		name := func(i int) string { return fmt.Sprintf("mobilev2-dev.sunbird.app-%09d-1591600000000", i%10_000) }
		ours := func(i int) error {
			u, _, err := counters.Take(ctx, limit.NewID("route", "service", name(i)), rule)
			if err == nil && !u.OK {
				err = errors.New("a request under the limit was refused")
			}
			return err
		}
		reference := func(i int) error { return bare.Do(ctx, bare.B().Incr().Key(name(i)).Build()).Error() }

		var rates, bareRates, waits, bareWaits []float64
		for range sharedRounds {
			for _, m := range []struct {
				f           func(int) error
				rate, waits *[]float64
			}{{ours, &rates, &waits}, {reference, &bareRates, &bareWaits}} {
				rate, err := perSecond(m.f)
				if err != nil {
					return err
				}
				wait, err := typicalWait(m.f)
				if err != nil {
					return err
				}
				*m.rate, *m.waits = append(*m.rate, rate), append(*m.waits, wait)
			}
		}
		report(beside("redis/limit", "checks/s", median(rates), median(bareRates)))
		report(beside("redis/limit wait", "µs", median(waits), median(bareWaits)))
		return nil
	}}
}

// startRedis starts a server that ends with ctx and keeps nothing, and returns its URL.
func startRedis(ctx context.Context) (string, error) {
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning")
	cmd.Dir, cmd.Stderr = os.TempDir(), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a run that fails exits before ctx has ended it
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go func() { _ = cmd.Wait() }()
	return "redis://" + addr, nil
}

// retry calls f until it succeeds, for five seconds.
func retry(ctx context.Context, f func(context.Context) error) error {
	var err error
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		if err = f(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}

// perSecond is how often many callers call f in a second.
func perSecond(f func(int) error) (float64, error) {
	var mu sync.Mutex
	var all int
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for caller := range sharedCallers {
		wg.Go(func() {
			n := 0
			var err error
			for time.Since(began) < sharedTime && err == nil {
				err = f(caller*997 + n)
				n++
			}
			mu.Lock()
			defer mu.Unlock()
			all += n
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	return float64(all) / time.Since(began).Seconds(), failed
}

// typicalWait is the median of what one caller waits, in microseconds.
func typicalWait(f func(int) error) (float64, error) {
	waits := make([]float64, 2000)
	for i := range waits {
		began := time.Now()
		if err := f(i); err != nil {
			return 0, err
		}
		waits[i] = float64(time.Since(began).Nanoseconds()) / 1000
	}
	return median(waits), nil
}
