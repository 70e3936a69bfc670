package signin_test

import (
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
)

func TestKnows(t *testing.T) {
	t.Parallel()
	book := func(key string) *signin.Book { return signin.New(signin.Config{Key: secret.FromString(key)}) }
	here, there := book("key"), book("key")
	mark := here.Mark("Ada")
	browser, ok := there.Knows(mark, "ada")
	if !ok || len(browser) != 16 || strings.Contains(mark, "Ada") {
		t.Errorf("Knows(%q) = %q, %t", mark, browser, ok)
	}
	other := here.Mark("ada")
	if name, _ := here.Knows(other, "ada"); other == mark || name == browser {
		t.Error("two browsers have one mark")
	}
	for what, tc := range map[string]struct {
		book       *signin.Book
		mark, name string
	}{
		"another name":   {here, mark, "bob"},
		"no name":        {here, mark, ""},
		"another key":    {book("other"), mark, "ada"},
		"none":           {here, "", "ada"},
		"a part":         {here, mark[:60], "ada"},
		"more":           {here, mark + "AAAA", "ada"},
		"changed":        {here, "A" + mark[1:], "ada"},
		"another's half": {here, mark[:20] + other[20:], "ada"},
		"no base64":      {here, strings.Repeat("!", 64), "ada"},
	} {
		if mark[0] == 'A' && what == "changed" {
			tc.mark = "B" + mark[1:]
		}
		if browser, ok := tc.book.Knows(tc.mark, tc.name); ok || browser != "" {
			t.Errorf("%s is known", what)
		}
	}
}
