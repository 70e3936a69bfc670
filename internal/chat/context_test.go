package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

func TestMergeContext(t *testing.T) {
	t.Parallel()
	long, half := `"`+strings.Repeat("x", MaxContext)+`"`, `"`+strings.Repeat("x", MaxContext/2)+`"`
	for name, tc := range map[string]struct {
		object    string
		owned     []string
		by        Author
		set       string
		want      string
		wantOwned []string
		kind      fault.Kind // of the refusal
	}{
		"new":               {object: ``, set: `{"a": [1, 2]}`, want: `{"a":[1,2]}`},
		"replaced":          {object: `{"a":1,"b":2}`, set: `{"a":"x"}`, want: `{"a":"x","b":2}`},
		"gone":              {object: `{"a":1,"b":2}`, set: `{"a":null}`, want: `{"b":2}`},
		"not there":         {object: `{"b":2}`, set: `{"a":null}`, want: `{"b":2}`},
		"first level only":  {object: `{"a":{"x":1}}`, set: `{"a":{"y":2}}`, want: `{"a":{"y":2}}`},
		"nested null":       {object: `{}`, set: `{"a":{"y":null}}`, want: `{"a":{"y":null}}`},
		"as it was written": {object: `{}`, set: `{"a":"<&>","b":1.0}`, want: `{"a":"<&>","b":1.0}`},
		"escaped name":      {object: `{"a":1}`, owned: []string{"a"}, set: `{"\u0061":2}`, kind: fault.Denied},

		"the server's":             {object: `{}`, by: Server, set: `{"b":1,"a":2}`, want: `{"a":2,"b":1}`, wantOwned: []string{"a", "b"}},
		"taken over":               {object: `{"a":1}`, by: Server, set: `{"a":2}`, want: `{"a":2}`, wantOwned: []string{"a"}},
		"given back":               {object: `{"a":1,"b":1}`, owned: []string{"a", "b"}, by: Server, set: `{"a":null}`, want: `{"b":1}`, wantOwned: []string{"b"}},
		"page's taken by server":   {object: `{"a":1}`, by: Server, set: `{"a":null}`, want: `{}`},
		"protected":                {object: `{"a":1,"b":1}`, owned: []string{"a"}, set: `{"b":2,"a":1}`, kind: fault.Denied},
		"protected from going":     {object: `{"a":1}`, owned: []string{"a"}, set: `{"a":null}`, kind: fault.Denied},
		"beside it":                {object: `{"a":1}`, owned: []string{"a"}, set: `{"A":2}`, want: `{"A":2,"a":1}`, wantOwned: []string{"a"}},
		"greeting":                 {object: `{"a":1}`, owned: []string{"a"}, by: Greeting, set: `{"a":2,"b":3}`, want: `{"a":1,"b":3}`, wantOwned: []string{"a"}},
		"greeting that takes away": {object: `{"a":1}`, owned: []string{"a"}, by: Greeting, set: `{"a":null}`, want: `{"a":1}`, wantOwned: []string{"a"}},

		"twice":             {object: `{}`, set: `{"a":1,"b":2,"a":1}`, kind: fault.Invalid},
		"twice, escaped":    {object: `{}`, set: `{"a":1,"\u0061":2}`, kind: fault.Invalid},
		"twice, deep":       {object: `{}`, set: `{"a":[[],{"b":[{"c":1,"d":{},"c":2}]}]}`, kind: fault.Invalid},
		"twice, the bot's":  {object: `{}`, by: Server, set: `{"a":{"b":1,"b":1}}`, kind: fault.Invalid},
		"twice, apart":      {object: `{}`, set: `{"a":{"b":1,"c":[{"b":2},{"b":3}]},"b":"b"}`, want: `{"a":{"b":1,"c":[{"b":2},{"b":3}]},"b":"b"}`},
		"twice, and gone":   {object: `{"a":1}`, set: `{"a":null,"a":2}`, kind: fault.Invalid},
		"large number":      {object: `{}`, set: `{"a":1.0,"b":1e400}`, want: `{"a":1.0,"b":1e400}`},
		"too many brackets": {object: `{}`, set: `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, kind: fault.Invalid},

		"a list":    {object: `{}`, set: `[]`, kind: fault.Invalid},
		"null":      {object: `{}`, by: Server, set: `null`, kind: fault.Invalid},
		"no JSON":   {object: `{}`, set: `{`, kind: fault.Invalid},
		"too large": {object: `{}`, by: Server, set: `{"a":` + long + `}`, kind: fault.TooLarge},
		"too large by what is the server's": {
			object: `{"a":` + half + `}`, owned: []string{"a"}, set: `{"b":` + half + `}`, kind: fault.TooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := Conversation{Context: json.RawMessage(tc.object), Owned: tc.owned}
			c := before
			err := c.Merge(json.RawMessage(tc.set), tc.by)
			if fault.KindOf(err) != tc.kind {
				t.Fatalf("Merge() = %v, want kind %v", err, tc.kind)
			}
			want := Conversation{Context: json.RawMessage(tc.want), Owned: tc.wantOwned}
			if tc.kind != fault.Internal {
				want = before
			}
			if diff := cmp.Diff(want, c); diff != "" {
				t.Errorf("conversation (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzMerge sees that a context stays an object within its bound, that the same change
// again changes nothing, and that no page's change touches what is the server's.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":1}`), []byte(`{"a":null,"b":{"c":[]}}`), uint8(Page))
	f.Add([]byte(``), []byte(`[]`), uint8(Greeting))
	f.Add([]byte(`{"a":1,"\ud800":2}`), []byte(`{"\ud801":null}`), uint8(Server))
	f.Fuzz(func(t *testing.T, object, set []byte, by uint8) {
		c := Conversation{}
		if c.Merge(object, Server) != nil {
			return
		}
		before := c
		author := Author(by % 3)
		if err := c.Merge(set, author); err != nil {
			if diff := cmp.Diff(before, c); diff != "" {
				t.Errorf("changed by what was refused:\n%s", diff)
			}
			return
		}
		if len(c.Context) > MaxContext || !json.Valid(c.Context) || c.Context[0] != '{' {
			t.Fatalf("context %s", c.Context)
		}
		if author != Server {
			wantKept(t, before, c)
		}
		again := c
		if err := again.Merge(set, author); err != nil || string(again.Context) != string(c.Context) {
			t.Errorf("merged once more: %s, %v, want %s", again.Context, err, c.Context)
		}
		page, err := c.PageContext()
		if err != nil {
			t.Fatal(err)
		}
		for name := range membersOf(t, page) {
			if slices.Contains(c.Owned, name) {
				t.Errorf("%q is shown, which is the server's", name)
			}
		}
	})
}

// wantKept sees that what was the server's is as it was.
func wantKept(t *testing.T, before, after Conversation) {
	t.Helper()
	if !slices.Equal(before.Owned, after.Owned) {
		t.Errorf("the server's are %q, want %q", after.Owned, before.Owned)
	}
	was, is := membersOf(t, before.Context), membersOf(t, after.Context)
	for _, name := range before.Owned {
		if string(was[name]) != string(is[name]) {
			t.Errorf("%q is %s, want %s", name, is[name], was[name])
		}
	}
}

func membersOf(t *testing.T, object json.RawMessage) (members map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(object, &members); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	return members
}

// TestClientsCannotTouch lets clients do what they can with hellos and context frames.
func TestClientsCannotTouch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 2))
				n := start(t, newMemory(), newDirect())
				s, _ := n.open(t, hello)
				id := s.Conversation().ID
				if err := n.SetServerContext(t.Context(), id, json.RawMessage(`{"a":"secret","b":{"c":1}}`)); err != nil {
					t.Fatal(err)
				}
				want := n.store.of(id).Conversation
				for range 200 {
					set := map[string]any{}
					for range 1 + rnd.IntN(3) {
						set[string(rune('a'+rnd.IntN(4)))] = []any{nil, 1, "x", map[string]any{}}[rnd.IntN(4)]
					}
					text, err := json.Marshal(set)
					if err != nil {
						t.Fatal(err)
					}
					switch rnd.IntN(3) {
					case 0:
						s, _ = n.open(t, Hello{User: ann, Bot: echo, Context: text})
					case 1:
						s, _ = n.open(t, Hello{User: ann, Bot: echo, Conversation: id, Past: text, Context: text})
					default:
						_, a := set["a"]
						_, b := set["b"]
						if err := s.SetContext(t.Context(), text); (fault.KindOf(err) == fault.Denied) != (a || b) {
							t.Fatalf("SetContext(%s) = %v", text, err)
						}
					}
					wantKept(t, want, n.store.of(id).Conversation)
					page, err := s.PageContext(t.Context())
					if err != nil || strings.Contains(string(page), "secret") {
						t.Fatalf("the page's context is %s, %v", page, err)
					}
				}
			})
		})
	}
}

// TestAuthorsAtOnce has many write the same context on two nodes.
func TestAuthorsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, _ := here.open(t, hello)
		phone, _ := there.open(t, hello)
		id := s.Conversation().ID
		var writing sync.WaitGroup
		for i := range 60 {
			writing.Go(func() {
				set := fmt.Appendf(nil, `{"k%02d":%d}`, i, i)
				var err error
				switch i % 3 {
				case 0:
					err = s.SetContext(t.Context(), set)
				case 1:
					err = phone.SetContext(t.Context(), set)
				default:
					err = there.SetServerContext(t.Context(), id, set)
				}
				if err != nil {
					t.Errorf("author %d: %v", i, err)
				}
			})
		}
		writing.Wait()
		c := m.of(id).Conversation
		if all := membersOf(t, c.Context); len(all) != 60 || len(c.Owned) != 20 {
			t.Errorf("%d members, %d of them the server's; want 60 and 20", len(all), len(c.Owned))
		}
	})
}

func TestServerContextRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, _ := n.open(t, hello)
		id := s.Conversation().ID
		set := json.RawMessage(`{"a":1}`)
		for name, tc := range map[string]struct {
			err  error
			kind fault.Kind
		}{
			"unknown":            {n.SetServerContext(t.Context(), "cnv_nosuch", set), fault.NotFound},
			"no object":          {n.SetServerContext(t.Context(), id, json.RawMessage(`7`)), fault.Invalid},
			"another bot's push": {n.PushContext(t.Context(), "menu", id, set), fault.NotFound},
			"push to nothing":    {n.PushContext(t.Context(), echo, "cnv_nosuch", set), fault.NotFound},
		} {
			if fault.KindOf(tc.err) != tc.kind {
				t.Errorf("%s: %v, want kind %v", name, tc.err, tc.kind)
			}
		}
		if got := string(m.of(id).Context); got != `{}` {
			t.Errorf("context %s", got)
		}
		if err := n.PushContext(t.Context(), echo, id, set); err != nil {
			t.Fatal(err)
		}
		if c := m.of(id); string(c.Context) != `{"a":1}` || !slices.Equal(c.Owned, []string{"a"}) {
			t.Errorf("context %s, the server's are %q", c.Context, c.Owned)
		}
	})
}

func TestPageContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		k := newEar()
		s, err := n.Open(t.Context(), Hello{User: ann, Bot: echo, Context: json.RawMessage(`{"page":"/"}`)}, k)
		if err != nil {
			t.Fatal(err)
		}
		reads := m.count("find")
		want := func(want string) {
			t.Helper()
			if got, err := s.PageContext(t.Context()); err != nil || string(got) != want {
				t.Errorf("PageContext() = %s, %v, want %s", got, err, want)
			}
		}
		if want(`{"page":"/"}`); m.count("find") != reads {
			t.Error("the store was asked for what was known")
		}
		s.Ready()
		if err := n.SetServerContext(t.Context(), s.Conversation().ID, json.RawMessage(`{"secret":1}`)); err != nil {
			t.Fatal(err)
		}
		want(`{"page":"/"}`)
		down := errors.New("disk trouble")
		m.ahead(func(context.Context, string) error { return down })
		if _, err := s.PageContext(t.Context()); !errors.Is(err, down) {
			t.Errorf("PageContext() = %v, want %v", err, down)
		}
	})
}

// TestPast goes on from a conversation that is gone.
func TestPast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		back := Hello{
			User: ann, Bot: echo, Conversation: "cnv_gone", After: 7,
			Past: json.RawMessage(`{"page":"/","tab":1}`), Context: json.RawMessage(`{"page":"/loans"}`),
		}
		without := back
		without.Past = nil
		if _, err := n.Open(t.Context(), without, newEar()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Open() = %v, want not found", err)
		}
		s, k := n.open(t, back)
		id := s.Conversation().ID
		if c := m.of(id); string(c.Context) != `{"page":"/loans","tab":1}` || c.welcomes != 1 || id == "cnv_gone" {
			t.Errorf("began %s with %s and %d welcomes", id, c.Context, c.welcomes)
		}
		s.Send("a", body("hi"))
		k.want(t, "ack a 1", "message 1 user a")

		other := back // of another tab, that comes later
		other.Past, other.Context = json.RawMessage(`{"tab":2}`), nil
		tab, _ := n.open(t, other)
		if got := tab.Conversation().ID; got != id {
			t.Errorf("the other tab is in %s, want %s", got, id)
		}
		if got := string(m.of(id).Context); got != `{"page":"/loans","tab":1}` {
			t.Errorf("context %s", got)
		}
		wrong := back
		wrong.Conversation, wrong.Bot = id, "menu"
		if _, err := n.Open(t.Context(), wrong, newEar()); err == nil {
			t.Error("a conversation with another bot was opened")
		}
	})
}

// TestPastOfEnded begins anew when a conversation has had its time.
func TestPastOfEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), func(c *Config) {
			c.Bots = map[bot.ID]Policy{echo: {Lifetime: time.Hour}}
		})
		s, _ := n.open(t, hello)
		old := s.Conversation().ID
		if err := pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		next, _ := n.open(t, Hello{User: ann, Bot: echo, Conversation: old, After: 3, Past: json.RawMessage(`{"page":"/"}`)})
		id := next.Conversation().ID
		if got := string(m.of(id).Context); id == old || got != `{"page":"/"}` {
			t.Errorf("in %s after %s, with the context %s", id, old, got)
		}
	})
}

// TestContextRate: each change of a page's is a commit, like what its user sends, and
// counts with it. The server's own do not.
func TestContextRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), func(c *Config) { c.Limits.Rate = limit.Rate{N: 2, Per: time.Minute} })
		s, ear := n.open(t, hello)
		set := func(i int) error { return s.SetContext(t.Context(), json.RawMessage(fmt.Sprintf(`{"page":%d}`, i))) }
		if err := set(1); err != nil {
			t.Fatal(err)
		}
		s.Send("a", body("a"))
		ear.want(t, "ack a 1", "message 1 user a")
		if f := fault.Public(set(2)); f.Kind != fault.Limited || f.RetryAfter != time.Minute {
			t.Errorf("SetContext() = %v, again after %v; want limited for a minute", f, f.RetryAfter)
		}
		if err := n.SetServerContext(t.Context(), s.Conversation().ID, json.RawMessage(`{"tier":1}`)); err != nil {
			t.Error(err)
		}
		if got := string(m.of(s.Conversation().ID).Context); got != `{"page":1,"tier":1}` {
			t.Errorf("context %s", got)
		}
		wait(t, time.Minute)
		if err := set(3); err != nil {
			t.Error(err)
		}
	})
}
