package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/secret"
)

// sayer answers with what it was made of.
type sayer string

func (s sayer) Answer(context.Context, bot.Turn) (bot.Answer, error) {
	return bot.Answer{Context: json.RawMessage(s)}, nil
}

func (s sayer) Stream(ctx context.Context, t bot.Turn, _ func(bot.Delta)) (bot.Answer, error) {
	return s.Answer(ctx, t)
}

func TestRenewed(t *testing.T) {
	t.Parallel()
	secrets, made := map[string]string{"a": "1", "b": "1"}, 0
	var broken error
	var logged bytes.Buffer
	r := &renewed{
		refs: []string{"a", "b"}, log: slog.New(slog.NewTextHandler(&logged, nil)),
		resolve: func(_ context.Context, ref string) (secret.Bytes, error) {
			if secrets[ref] == "" {
				return secret.Bytes{}, errors.New("not there")
			}
			return secret.FromString(secrets[ref]), nil
		},
		make: func(context.Context) (bot.Streamer, error) {
			made++
			return sayer(secrets["a"] + secrets["b"]), broken
		},
	}
	answer := func(want string, makings int) {
		t.Helper()
		for name, ask := range map[string]func() (bot.Answer, error){
			"Answer": func() (bot.Answer, error) { return r.Answer(t.Context(), bot.Turn{}) },
			"Stream": func() (bot.Answer, error) { return r.Stream(t.Context(), bot.Turn{}, nil) },
		} {
			if a, err := ask(); err != nil || string(a.Context) != want {
				t.Errorf("%s() = %s, %v, want %s", name, a.Context, err, want)
			}
		}
		if made != makings {
			t.Errorf("made %d times, want %d", made, makings)
		}
	}
	answer("11", 1)
	secrets["b"] = "2"
	answer("12", 2)
	delete(secrets, "a")
	answer("12", 2)
	secrets["a"], broken = "s3cret", errors.New("too short")
	answer("12", 4) // each call tries
	broken = nil
	answer("s3cret2", 5)
	if got := logged.String(); strings.Count(got, "keeps those that it has") != 4 || strings.Contains(got, "s3cret") {
		t.Errorf("logged %q", got)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = r.Answer(t.Context(), bot.Turn{}) })
	}
	wg.Wait()
}
