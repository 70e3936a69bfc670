package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/postgres"
)

func messages(ids ...string) (all []chat.Message) {
	for _, id := range ids {
		all = append(all, chat.Message{ID: id})
	}
	return all
}

func TestKnown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		notes func(*postgres.Known)
		id    string
		last  int64
		sure  bool
	}{
		"nothing is known": {func(*postgres.Known) {}, "a", 0, false},
		"new":              {func(k *postgres.Known) { k.Note("c", 0, 2, messages("a", "b")) }, "c", 2, true},
		"there":            {func(k *postgres.Known) { k.Note("c", 0, 2, messages("a", "b")) }, "b", 0, false},
		"of another":       {func(k *postgres.Known) { k.Note("d", 0, 1, messages("a")) }, "a", 0, false},
		"not from the first on": {
			func(k *postgres.Known) { k.Note("c", 7, 8, messages("a")) }, "b", 0, false,
		},
		"more": {
			func(k *postgres.Known) {
				k.Note("c", 0, 1, messages("a"))
				k.Note("c", 1, 2, messages("b"))
			}, "c", 2, true,
		},
		"nothing more": {
			func(k *postgres.Known) {
				k.Note("c", 0, 1, messages("a"))
				k.Note("c", 1, 1, nil)
			}, "c", 1, true,
		},
		"behind another's": {
			func(k *postgres.Known) {
				k.Note("c", 0, 1, messages("a"))
				k.Note("c", 2, 3, messages("b"))
			}, "c", 0, false,
		},
		"too many": {
			func(k *postgres.Known) { k.Note("c", 0, postgres.MaxIDs+1, make([]chat.Message, postgres.MaxIDs+1)) }, "c", 0, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := postgres.NewKnown()
			tc.notes(k)
			if last, sure := k.Lacks("c", question(tc.id)); last != tc.last || sure != tc.sure {
				t.Errorf("Lacks() = %d, %t, want %d, %t", last, sure, tc.last, tc.sure)
			}
		})
	}
}

// TestKnownIsBounded asks for one conversation while many others come.
func TestKnownIsBounded(t *testing.T) {
	t.Parallel()
	k := postgres.NewKnown()
	for i := range 5 * postgres.MaxKnown {
		k.Note(conversationOf(i), 0, 1, messages("a"))
		if last, sure := k.Lacks(conversationOf(0), question("b")); last != 1 || !sure {
			t.Fatalf("after %d others, what is in use is forgotten", i)
		}
	}
	if n := k.Len(); n > 2*postgres.MaxKnown {
		t.Errorf("%d conversations are known, want at most %d", n, 2*postgres.MaxKnown)
	}
	if _, sure := k.Lacks(conversationOf(1), question("b")); sure {
		t.Error("what was not asked for is known still")
	}
}

// TestKnownIsSure holds what is known against what was written, by this node and others.
func TestKnownIsSure(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	k := postgres.NewKnown()
	there := map[string]bool{}
	last, sures := int64(0), 0
	for range 2000 {
		id := fmt.Sprint(random.IntN(300))
		if at, sure := k.Lacks("c", question(id)); sure && at == last {
			if sures++; there[id] {
				t.Fatalf("%s is there, and known not to be", id)
			}
		}
		switch ours := random.IntN(200) > 0; {
		case len(there) > 100:
			k, there, last = postgres.NewKnown(), map[string]bool{}, 0
		case !there[id]:
			there[id] = true
			if last++; ours {
				k.Note("c", last-1, last, messages(id))
			}
		}
	}
	if sures < 100 {
		t.Errorf("something was sure %d times only", sures)
	}
}
