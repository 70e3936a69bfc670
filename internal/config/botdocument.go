package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// BotDocument is what a document in ServisBOT's shape says of a bot, as far as Carnet has
// it, too. Zero members are not said.
type BotDocument struct {
	Name           string
	State          string                // as [Bot.State]
	Policy         *securesession.Policy // nil: sessions are not secured
	Lifetime       Duration
	SessionTimeout Duration
	Warnings       []string // what is not carried over; each begins with a JSON pointer
}

// Members of a bot's document: those that are said with other words here, or say nothing
// to us.
var (
	botMembers = []string{
		"Name", "Id", "DisplayName", "Description", "State", "SecureSession", "SecureSessionConfig", "Handlers",
		"Srn", "Created", "Updated", "CreatedBy", "UpdatedBy", "Organization", "Key",
	}
	// They say who answers, and with what: url and type say it here.
	botWorkers = []string{"Workers", "NluManagementMode", "Persona", "QuietTimeEnabled", "RelatedResources"}
)

// ParseBot reads a document of a bot. Errors are faults whose field is a JSON pointer.
func ParseBot(doc []byte) (*BotDocument, error) {
	var b struct {
		Name, State string
		Handlers    map[string]struct {
			Actions []struct {
				Type  string
				Value json.RawMessage
			}
		}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc, &members); err != nil || members == nil {
		return nil, fault.New(fault.Invalid, "must be one JSON object")
	}
	for _, name := range []string{"Name", "State", "Handlers"} { // each by itself, to name the one at fault
		one, err := json.Marshal(map[string]json.RawMessage{name: members[name]})
		if err == nil {
			err = json.Unmarshal(one, &b)
		}
		if err != nil {
			return nil, fault.BadField("/"+name, "has not the shape that is documented")
		}
	}
	d := &BotDocument{Name: b.Name, State: strings.ToLower(b.State)}
	if d.State != "" && !slices.Contains([]string{BotRunning, BotPaused, BotStopped}, d.State) {
		return nil, fault.BadField("/State", "must be Running, Paused or Stopped")
	}
	var err error
	if d.Policy, err = securesession.ParsePolicy(doc); err != nil {
		public := fault.Public(err)
		return nil, fault.BadField("/"+strings.ReplaceAll(public.Field, ".", "/"), public.Msg)
	}
	for _, event := range slices.Sorted(maps.Keys(b.Handlers)) {
		for i, a := range b.Handlers[event].Actions {
			at := fmt.Sprintf("/Handlers/%s/actions/%d", event, i)
			if event != "conversationCreated" || a.Type != "setPolicy" {
				d.Warnings = append(d.Warnings, at+" is not carried over")
				continue
			}
			if err := d.setPolicy(at+"/value", a.Value); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch {
		case slices.Contains(botWorkers, name):
			d.Warnings = append(d.Warnings, "/"+name+" is not carried over: type and url of the bot say who answers")
		case !slices.Contains(botMembers, name):
			d.Warnings = append(d.Warnings, "/"+name+" is not known")
		}
	}
	return d, nil
}

// setPolicy takes the lives of conversations and sessions.
func (d *BotDocument) setPolicy(at string, value json.RawMessage) error {
	var v struct {
		UserSession  struct{ ExpireOnInactivityInMinutes int }
		Conversation struct{ MaxDurationInMinutes int }
	}
	const most = 10 * 365 * 24 * 60 // minutes
	if err := json.Unmarshal(value, &v); err != nil {
		return fault.BadField(at, "has not the shape that is documented")
	}
	for _, m := range []struct {
		name string
		n    int
		into *Duration
	}{
		{"/userSession/expireOnInactivityInMinutes", v.UserSession.ExpireOnInactivityInMinutes, &d.SessionTimeout},
		{"/conversation/maxDurationInMinutes", v.Conversation.MaxDurationInMinutes, &d.Lifetime},
	} {
		if m.n < 0 || m.n > most {
			return fault.BadField(at+m.name, "must be a number of minutes")
		}
		if m.n > 0 {
			*m.into = Duration(time.Duration(m.n) * time.Minute)
		}
	}
	return nil
}

// readBots reads the documents that bots name. What the file says itself goes first.
func (c *Config) readBots() (errs []error) {
	for _, name := range c.Chat.Bots.Names() {
		b := c.Chat.Bots[name]
		if b.File == "" {
			continue
		}
		at := join("chat.bots."+string(name), "file")
		doc, err := readDocument(b.File)
		if err == nil {
			b.Document, err = ParseBot(doc)
		}
		if err != nil {
			public := fault.Public(err)
			where := b.File
			if public.Field != "" {
				where += ": " + public.Field
			}
			errs = append(errs, fault.BadField(at, where+": "+public.Msg))
			continue
		}
		if b.State == "" {
			b.State = b.Document.State
		}
		if b.Lifetime == 0 {
			b.Lifetime = b.Document.Lifetime
		}
		if b.SessionTimeout == 0 {
			b.SessionTimeout = b.Document.SessionTimeout
		}
	}
	return errs
}
