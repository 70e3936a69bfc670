package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Item is a place in a menu: what it is chosen by, what it says, and where to go on.
// An item without items leads back to the beginning.
type Item struct {
	Label string // unique in the menu, upper or lower case alike; not used of the first item
	Text  string
	Items []Item
}

// Menu is a bot that offers a tree of choices. It keeps nothing of a conversation:
// each choice can be made at any time.
type Menu struct {
	root   *Item
	places map[string]*Item // by label in lower case
}

// NewMenu returns a bot that begins with root. Each item needs a text, and each but
// the root a label of its own.
func NewMenu(root Item) (*Menu, error) {
	m := &Menu{root: &root, places: map[string]*Item{}}
	if root.Text == "" {
		return nil, fmt.Errorf("menu: the first item has no text")
	}
	if len(root.Items) == 0 {
		return nil, fmt.Errorf("menu: nothing to choose")
	}
	if err := m.add(root.Items); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Menu) add(items []Item) error {
	for i := range items {
		it := &items[i]
		name := place(it.Label)
		switch {
		case name == "":
			return fmt.Errorf("menu: an item has no label")
		case it.Text == "":
			return fmt.Errorf("menu: item %q has no text", it.Label)
		case m.places[name] != nil:
			return fmt.Errorf("menu: two items are labelled %q", it.Label)
		}
		m.places[name] = it
		if err := m.add(it.Items); err != nil {
			return err
		}
	}
	return nil
}

// place is what a label is found by.
func place(label string) string { return strings.ToLower(strings.TrimSpace(label)) }

// Answer says the text of the item that the message names and offers what follows on
// it. A message that names none is answered with the beginning.
func (m *Menu) Answer(_ context.Context, t Turn) (Answer, error) {
	at := m.root
	if t.Kind != Welcome {
		var chosen text
		// A body of another shape names no item.
		if err := json.Unmarshal(t.Body, &chosen); err == nil && m.places[place(chosen.Text)] != nil {
			at = m.places[place(chosen.Text)]
		}
	}
	next := at.Items
	if len(next) == 0 {
		next = m.root.Items
	}
	answer := text{Text: at.Text}
	for _, it := range next {
		answer.QuickReplies = append(answer.QuickReplies, it.Label)
	}
	return say(answer)
}

// DefaultMenu is what the menu bot offers unless something else is configured.
func DefaultMenu() Item {
	return Item{
		Text: "Hello! What would you like to know?",
		Items: []Item{
			{Label: "What is Carnet?", Text: "Carnet issues session tokens, admits requests that carry them, and carries conversations like this one."},
			{Label: "Is this kept?", Text: "Yes. A message is acknowledged once it is stored, and comes back in order on every device of yours.", Items: []Item{
				{Label: "Try it", Text: "Reload the page, or open it in a second tab: everything is there, once."},
				{Label: "What if the server stops?", Text: "The page waits, connects again and goes on where it was. Nothing is said twice."},
			}},
			{Label: "Who else is there?", Text: "Echo, who says what you say. It is the one to try a page with."},
		},
	}
}
