package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

// Author is who changes a context.
type Author uint8

// The authors. A member that Server has set is the server's until Server takes it away:
// no page can change it, take it away or see it.
const (
	Page     Author = iota // a change that touches what is the server's is refused whole
	Greeting               // a page that repeats what it says in each hello: what is the server's stays, the rest is taken
	Server                 // the bot, too
)

// Merge puts the members of set, one object, over those of the context, as far down as
// the first level alone; a member that is null goes. An error changes nothing:
// fault.Invalid, fault.TooLarge, or fault.Denied for what is the server's.
func (c *Conversation) Merge(set json.RawMessage, by Author) error {
	members, err := c.members()
	if err != nil {
		return err
	}
	var changes map[string]json.RawMessage
	if err := json.Unmarshal(set, &changes); err != nil || changes == nil {
		return fault.BadField("context", "must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(set))
	d.UseNumber()
	if unambiguous(d) != nil {
		return fault.BadField("context", "must have no member twice")
	}
	owned := make(map[string]bool, len(c.Owned))
	for _, name := range c.Owned {
		owned[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		value, gone := changes[name], bytes.Equal(changes[name], []byte("null"))
		switch {
		case by == Greeting && owned[name]:
			continue
		case by == Page && owned[name]:
			return &fault.Error{
				Kind: fault.Denied, Code: "protected", Field: "context", Msg: fmt.Sprintf("%q is the server's to set", name),
			}
		case gone:
			delete(members, name)
			delete(owned, name)
			continue
		case by == Server:
			owned[name] = true
		}
		members[name] = value
	}
	merged, err := encodeMembers(members)
	if err != nil {
		return err
	}
	if len(merged) > MaxContext {
		return &fault.Error{
			Kind: fault.TooLarge, Field: "context", Msg: fmt.Sprintf("must have at most %d bytes of JSON in all", MaxContext),
		}
	}
	c.Context, c.Owned = merged, slices.Sorted(maps.Keys(owned))
	return nil
}

var errTwice = errors.New("a member stands twice")

// unambiguous reads a value and refuses an object, however deep in it, with a member that
// stands twice: one parser takes the first, another the last, so that who checks the
// context and who uses it would see two.
func unambiguous(d *json.Decoder) error {
	token, err := d.Token()
	open, nested := token.(json.Delim)
	if err != nil || !nested {
		return err
	}
	seen := map[json.Token]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if seen[name] {
				return errTwice
			}
			seen[name] = true
		}
		if err := unambiguous(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// PageContext is the context without what is the server's.
func (c *Conversation) PageContext() (json.RawMessage, error) {
	members, err := c.members()
	if err != nil {
		return nil, err
	}
	for _, name := range c.Owned {
		delete(members, name)
	}
	return encodeMembers(members)
}

func (c *Conversation) members() (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if len(c.Context) == 0 {
		return members, nil
	}
	if err := json.Unmarshal(c.Context, &members); err != nil {
		return nil, fault.Wrap(fault.Internal, "stored context", err)
	}
	return members, nil
}

// encodeMembers writes each value as it was given, so that it is no longer than that.
func encodeMembers(members map[string]json.RawMessage) (json.RawMessage, error) {
	merged, err := wire.JSON(members)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "merge context", err)
	}
	return merged, nil
}

// SetServerContext merges set, a JSON object, into the context of the conversation as
// the server's own, and returns when that is committed.
func (e *Engine) SetServerContext(ctx context.Context, id ID, set json.RawMessage) error {
	return e.setContext(ctx, id, set, Server)
}

func (e *Engine) setContext(ctx context.Context, id ID, set json.RawMessage, by Author) error {
	c, err := e.c.Store.FindConversation(ctx, id)
	if err != nil {
		return err
	}
	return e.mergeContext(ctx, &c, set, by)
}

// mergeContext merges set into c as it was read, and into what the store has by then.
// What changes nothing costs no commit.
func (e *Engine) mergeContext(ctx context.Context, c *Conversation, set json.RawMessage, by Author) error {
	before := *c
	if err := c.Merge(set, by); err != nil {
		return err
	}
	if bytes.Equal(c.Context, before.Context) && slices.Equal(c.Owned, before.Owned) {
		return nil
	}
	return e.c.Store.MergeContext(ctx, c.ID, set, by)
}
