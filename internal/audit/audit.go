// Package audit keeps the audit log: who changed what, and what happened at the doors that
// somebody may have to answer for.
//
// Changes by operators are written with [Log.Record], right after they were made: whoever
// changed something gets an error if that cannot be written, and the change stays. They are
// not written in one transaction with the change, which may be many, or be a file; who
// kills a process between the two has a change without an entry.
//
// Events of serving are noted with [Log.Note], which never waits: they are written together,
// once a second, and those that are alike become one entry with a count. So however many
// try, the log grows by a bounded number of entries a second, and what does not fit is
// counted as dropped.
//
// An entry never has secrets, tokens or passwords. Names in it that nobody has verified,
// such as that of a sign-in that was refused, are cut to [MaxText] bytes.
package audit

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Entry is a line of the log. Once it is written nothing changes it.
type Entry struct {
	ID      int64 // grows with each entry of a store; 0: not written yet
	At      time.Time
	Actor   Actor
	Action  Action
	Object  string // the id or name of what the action is about; of what kind that is, the action says
	Outcome Outcome
	Address string // of the client; "": it was none, or addresses are not kept
	Node    string // the host on which it happened
	Details map[Detail]string
}

// Actor is who did it.
type Actor struct {
	Kind ActorKind
	Name string // of an operator the user of the machine, of an app its client id, of a user their name or subject
}

// String is kind:name, or the kind alone.
func (a Actor) String() string {
	if a.Name == "" {
		return string(a.Kind)
	}
	return string(a.Kind) + ":" + a.Name
}

// ActorKind tells what an actor is.
type ActorKind string

// The kinds of actors.
const (
	Operator ActorKind = "operator" // at the command line
	Admin    ActorKind = "admin"    // over an Admin API, where all callers have one secret
	App      ActorKind = "app"
	User     ActorKind = "user"
	System   ActorKind = "system" // Carnet itself
)

// Outcome tells how it ended.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
	Limited Outcome = "limited" // too many tries
	Failed  Outcome = "failed"  // by a fault that is not the actor's
)

// Outcomes are all there are.
var Outcomes = []Outcome{OK, Refused, Limited, Failed}

// Detail is the name of something more that an entry tells.
type Detail string

// The details.
const (
	Command Detail = "command"  // of the command line
	Of      Detail = "of"       // what the object belongs to
	Name    Detail = "name"     // what people call the object
	Scopes  Detail = "scopes"   // all that it has now
	Key     Detail = "key"      // the id of a key or secret
	Kind    Detail = "kind"     // of a revocation, or of an entity of the gateway
	Issuer  Detail = "issuer"   // of a subject or device that was revoked
	Version Detail = "version"  // of a secret
	Rows    Detail = "rows"     // how many were imported or copied
	Count   Detail = "count"    // how many events are in this entry, if more than one
	Changed Detail = "changed"  // the members that are other ones, by their names
	Reason  Detail = "reason"   // of a refusal its kind, of a revocation what was given
	By      Detail = "by"       // who said to have done it
	Grant   Detail = "grant"    // of a token
	ByApp   Detail = "app"      // for which the actor acts
	At      Detail = "at"       // when something takes force
	Until   Detail = "until"    // how long something is good; none: without end
	Place   Detail = "place"    // in which somebody was signed in; none: in all
	Way     Detail = "identity" // how an app's visitors are believed
)

// MaxText is the most bytes that each text of an entry has.
const MaxText = 256

// tidy is e as it is written: texts are cut, and have no control characters.
func (e Entry) tidy() Entry {
	e.Actor.Name, e.Object, e.Node = clean(e.Actor.Name), clean(e.Object), clean(e.Node)
	e.At = e.At.UTC().Truncate(time.Millisecond)
	if len(e.Details) == 0 {
		e.Details = nil
		return e
	}
	e.Details = maps.Clone(e.Details)
	maps.DeleteFunc(e.Details, func(_ Detail, value string) bool { return value == "" })
	for name, value := range e.Details {
		e.Details[name] = clean(value)
	}
	return e
}

// clean is text that can stand in a line, and in any store.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text[:min(len(text), 2*MaxText)])
	if len(text) <= MaxText {
		return text
	}
	const mark = "…"
	end := MaxText - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// String is the details as name=value, by their names' order.
func (e *Entry) String() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		words = append(words, string(name)+"="+e.Details[name])
	}
	return strings.Join(words, " ")
}
