package kore

import (
	"fmt"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/chat"
)

// TestInherit gives a page that comes back with a new grant the tab that it had.
func TestInherit(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	of := func(id string, a app.ID, sub string) grant {
		return grant{ID: id, App: a, Subject: sub, Bot: "echo", Issued: noon.UnixMilli()}
	}
	ann := of("new", "shop", "ann")
	// tab of a grant whose connection began so long before noon, and whether it is there
	type was struct {
		g         grant
		agent     string
		before    time.Duration
		connected bool
	}
	lost := func(id string, before time.Duration) was { return was{of(id, "shop", "ann"), "A", before, false} }
	for name, tc := range map[string]struct {
		tabs []was
		want string
	}{
		"nobody":                    {nil, ""},
		"the one":                   {[]was{lost("a", time.Minute)}, "a"},
		"the latest":                {[]was{lost("a", time.Minute), lost("b", time.Second), lost("c", time.Hour)}, "b"},
		"the lost one":              {[]was{lost("a", time.Hour), {of("b", "shop", "ann"), "A", time.Minute, true}}, "a"},
		"the only one, connected":   {[]was{{of("a", "shop", "ann"), "A", time.Minute, true}}, "a"},
		"two that are connected":    {[]was{{of("a", "shop", "ann"), "A", time.Minute, true}, {of("b", "shop", "ann"), "A", time.Minute, true}}, ""},
		"one that began later":      {[]was{lost("a", -time.Second)}, ""},
		"of another user":           {[]was{{of("a", "shop", "bob"), "A", time.Minute, false}}, ""},
		"of another app":            {[]was{{of("a", "mall", "ann"), "A", time.Minute, false}}, ""},
		"with another bot":          {[]was{{grant{ID: "a", App: "shop", Subject: "ann", Bot: "menu"}, "A", time.Minute, false}}, ""},
		"in another browser":        {[]was{{of("a", "shop", "ann"), "B", time.Minute, false}}, ""},
		"a tab of another one, too": {[]was{lost("a", time.Minute), {of("b", "shop", "bob"), "A", time.Second, false}}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := newTabs(10)
			for _, w := range tc.tabs {
				tab, c := ts.begin(w.g.ID, w.g, w.agent, time.Time{}), &conn{}
				tab.enter(c, noon.Add(-w.before))
				if !w.connected {
					tab.leave(c)
				}
			}
			got := ""
			if tab := ts.inherit(ann, "A"); tab != nil {
				got = tab.name
			}
			if got != tc.want {
				t.Errorf("inherit() = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTabsForget(t *testing.T) {
	t.Parallel()
	ts := newTabs(3)
	begin := func(id string) *tab { return ts.begin(id, grant{ID: id}, "", time.Time{}) }
	a := begin("a")
	begin("b")
	begin("c")
	if !ts.remembersAll() {
		t.Error("it forgot one of three")
	}
	if ts.find("a") != a {
		t.Error("a is not known")
	}
	begin("d")
	ts.know("a2", a)
	if ts.remembersAll() || ts.find("b") != nil || ts.find("c") != nil || ts.find("a2") != a || ts.find("a") != a || ts.find("d") == nil {
		t.Errorf("it remembers %v", ts.byGrant)
	}
	ts.know("a", a)
	if len(ts.byGrant) != 3 || ts.order.Len() != 3 {
		t.Errorf("%d tabs, %d in order", len(ts.byGrant), ts.order.Len())
	}
}

func TestDraws(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	one, two := &conn{}, &conn{}
	tab := &tab{since: noon}
	said := func(id string, at time.Duration) chat.Message { return chat.Message{ID: id, At: noon.Add(at)} }
	if tab.draws(one, said("x", 0)) {
		t.Error("a tab without a connection draws")
	}
	tab.enter(one, noon)
	tab.enter(two, noon)
	tab.send("own")
	for name, tc := range map[string]struct {
		c    *conn
		m    chat.Message
		want bool
	}{
		"said elsewhere":        {two, said("x", 0), true},
		"the older connection":  {one, said("x", 0), false},
		"its own":               {two, said("own", 0), false},
		"before it was there":   {two, said("x", -1), false},
		"its own, to the older": {one, said("own", 0), false},
	} {
		if got := tab.draws(tc.c, tc.m); got != tc.want {
			t.Errorf("%s: draws() = %t", name, got)
		}
	}
	for i := range maxSent {
		tab.send(fmt.Sprint(i))
	}
	if len(tab.sent) != maxSent || !tab.draws(two, said("own", 0)) || tab.draws(two, said("0", 0)) {
		t.Errorf("it remembers %d of its messages", len(tab.sent))
	}
}
