package bot

import (
	"context"
	"encoding/json"
	"testing"
)

func TestGreeting(t *testing.T) {
	t.Parallel()
	streams := streamFunc(func(_ context.Context, tell func(Delta)) Answer {
		tell(Delta{"bot_1", "x"})
		return Answer{Replies: []Reply{{Body: json.RawMessage(`"streamed"`)}}}
	})
	welcome, message := Turn{Kind: Welcome}, Turn{Kind: Message, Body: json.RawMessage(`"hi"`)}
	for name, tc := range map[string]struct {
		bot  Bot
		text string
		turn Turn
		want string
		told int
	}{
		"greets":        {Echo{}, `Say "hi"`, welcome, `{"text":"Say \"hi\""}`, 0},
		"says nothing":  {Echo{}, "", welcome, "", 0},
		"asks":          {Echo{}, "Hello", message, `"hi"`, 0},
		"asks a stream": {streams, "Hello", message, `"streamed"`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := 0
			a, err := Greeting{tc.bot, tc.text}.Stream(t.Context(), tc.turn, func(Delta) { told++ })
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(a.Replies) > 0 {
				got = string(a.Replies[0].Body)
			}
			if got != tc.want || told != tc.told {
				t.Errorf("Stream() says %s and told %d parts, want %s and %d", got, told, tc.want, tc.told)
			}
		})
	}
	a, err := Greeting{Echo{}, "Hello"}.Answer(t.Context(), welcome)
	if err != nil || string(a.Replies[0].Body) != `{"text":"Hello"}` {
		t.Errorf("Answer() = %+v, %v", a, err)
	}
	if a, err = (Greeting{Echo{}, "Hello"}).Answer(t.Context(), message); err != nil || string(a.Replies[0].Body) != `"hi"` {
		t.Errorf("Answer() = %+v, %v", a, err)
	}
}
