package bot

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func answer(t *testing.T, b Bot, turn Turn) string {
	t.Helper()
	a, err := b.Answer(t.Context(), turn)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Replies) != 1 || a.Context != nil {
		t.Fatalf("Answer() = %+v, want one message", a)
	}
	return string(a.Replies[0].Body)
}

func TestEcho(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bot  Echo
		turn Turn
		want string
	}{
		"text":      {Echo{}, Turn{Kind: Message, Body: json.RawMessage(`{"text":"hi"}`)}, `{"text":"hi"}`},
		"anything":  {Echo{}, Turn{Kind: Message, Body: json.RawMessage(`[1, null]`)}, `[1, null]`},
		"welcome":   {Echo{}, Turn{Kind: Welcome}, `{"text":"Hello! I say what you say."}`},
		"own words": {Echo{Greeting: `Say "hi"`}, Turn{Kind: Welcome}, `{"text":"Say \"hi\""}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := answer(t, tc.bot, tc.turn); got != tc.want {
				t.Errorf("Answer() = %s, want %s", got, tc.want)
			}
		})
	}
}

var tree = Item{
	Text: "Welcome.",
	Items: []Item{
		{Label: "Cards", Text: "Which one?", Items: []Item{
			{Label: "Débit", Text: "It is free."},
			{Label: "Credit", Text: "It is not."},
		}},
		{Label: "Hours", Text: "Nine to five."},
	},
}

func TestMenu(t *testing.T) {
	t.Parallel()
	const start = `{"text":"Welcome.","quick_replies":["Cards","Hours"]}`
	for name, tc := range map[string]struct {
		turn Turn
		want string
	}{
		"welcome":       {Turn{Kind: Welcome}, start},
		"branch":        {said("Cards"), `{"text":"Which one?","quick_replies":["Débit","Credit"]}`},
		"leaf":          {said("Hours"), `{"text":"Nine to five.","quick_replies":["Cards","Hours"]}`},
		"leaf below":    {said("Credit"), `{"text":"It is not.","quick_replies":["Cards","Hours"]}`},
		"other letters": {said("  DÉBIT\n"), `{"text":"It is free.","quick_replies":["Cards","Hours"]}`},
		"unknown":       {said("loans"), start},
		"empty":         {said(""), start},
		"no text":       {Turn{Kind: Message, Body: json.RawMessage(`{"button":1}`)}, start},
		"not an object": {Turn{Kind: Message, Body: json.RawMessage(`7`)}, start},
		"text is a list": {
			Turn{Kind: Message, Body: json.RawMessage(`{"text":["Cards"]}`)}, start,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := NewMenu(tree)
			if err != nil {
				t.Fatal(err)
			}
			if got := answer(t, m, tc.turn); got != tc.want {
				t.Errorf("Answer() = %s, want %s", got, tc.want)
			}
		})
	}
}

func said(s string) Turn {
	body, _ := json.Marshal(text{Text: s})
	return Turn{Kind: Message, Body: body}
}

func TestMenuRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		root Item
		want string
	}{
		"no text":      {Item{Items: tree.Items}, "first item has no text"},
		"no choice":    {Item{Text: "Hi"}, "nothing to choose"},
		"no label":     {Item{Text: "Hi", Items: []Item{{Label: " ", Text: "x"}}}, "no label"},
		"item is mute": {Item{Text: "Hi", Items: []Item{{Label: "A"}}}, `"A" has no text`},
		"twice": {
			Item{Text: "Hi", Items: []Item{{Label: "A", Text: "x", Items: []Item{{Label: "B", Text: "y"}}}, {Label: "b", Text: "z"}}},
			`labelled "b"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewMenu(tc.root); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewMenu() = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestDefaultMenu walks to every place of the menu that comes with it.
func TestDefaultMenu(t *testing.T) {
	t.Parallel()
	m, err := NewMenu(DefaultMenu())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var walk func(turn Turn)
	walk = func(turn Turn) {
		var got text
		if err := json.Unmarshal([]byte(answer(t, m, turn)), &got); err != nil {
			t.Fatal(err)
		}
		for _, label := range got.QuickReplies {
			if !seen[label] {
				seen[label] = true
				walk(said(label))
			}
		}
	}
	walk(Turn{Kind: Welcome})
	if diff := cmp.Diff(len(m.places), len(seen)); diff != "" {
		t.Errorf("places reached (-want +got):\n%s", diff)
	}
}

func FuzzMenu(f *testing.F) {
	f.Add([]byte(`{"text":"Cards"}`))
	f.Add([]byte(`{"text":"ſ"}`))
	f.Add([]byte(`null`))
	m, err := NewMenu(tree)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got text
		if err := json.Unmarshal([]byte(answer(t, m, Turn{Kind: Message, Body: body})), &got); err != nil {
			t.Fatal(err)
		}
		if got.Text == "" || len(got.QuickReplies) == 0 {
			t.Errorf("Answer() = %+v, want words and a way on", got)
		}
	})
}
