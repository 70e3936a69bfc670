package securesession

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// Type is how a session is secured.
type Type string

// The types.
const (
	Baas        Type = "baas"        // an API connector is asked
	AuthProfile Type = "authProfile" // the user signs in with an OAuth 2 provider
)

// Policy is what a bot's SecureSessionConfig says.
type Policy struct {
	Type     Type
	Alias    string        // of the connector or the auth profile
	Interval time.Duration // how long a yes is good; 0: for one message
	Message  string        // what a locked-out user is told: text or markup; empty: the default

	Timeout      time.Duration // of one call
	DenyInterval time.Duration // how long a no is good; 0: the next message asks again
	Grace        time.Duration // how long past its end a yes is good while there is no answer; 0: not at all
	Success      []int         // statuses that are a yes
	History      bool          // history is protected, too
	Resume       bool          // and so is resuming a conversation
	MaxPending   int           // messages of a conversation that wait
	HonourMaxAge bool          // whether the answer's Cache-Control may shorten Interval
}

// Lease is how long a node may be at one question.
func (p *Policy) Lease() time.Duration { return p.Timeout + time.Second }

// Keep is how long a record is of use.
func (p *Policy) Keep() time.Duration {
	return max(p.Interval+p.Grace, p.DenyInterval) + time.Minute
}

// The bounds of a policy.
const (
	maxInterval = 24 * time.Hour
	maxMessage  = 4 << 10
	maxAlias    = 128
)

// ParsePolicy reads SecureSession and SecureSessionConfig of a bot's document, and leaves
// its other members alone. It returns nil if the bot has no secure session. A
// configuration that is there must be right even so.
func ParsePolicy(bot []byte) (*Policy, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(bot, &members); err != nil || members == nil {
		return nil, fault.New(fault.Invalid, "a bot is a JSON object")
	}
	on := false
	if raw, ok := members["SecureSession"]; ok {
		if on = bytes.Equal(raw, []byte("true")); !on && !bytes.Equal(raw, []byte("false")) {
			return nil, fault.BadField("SecureSession", "must be true or false")
		}
	}
	raw, ok := members["SecureSessionConfig"]
	if !ok || bytes.Equal(raw, []byte("null")) {
		if on {
			return nil, fault.BadField("SecureSessionConfig", "must be there, since SecureSession is true")
		}
		return nil, nil
	}
	p, err := parseConfig(raw)
	if err != nil || !on {
		return nil, err
	}
	return p, nil
}

func parseConfig(raw json.RawMessage) (*Policy, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, fault.BadField("SecureSessionConfig", "must be a JSON object")
	}
	r := reader{members: members}
	p := &Policy{
		Type:         Type(r.choice("Type", "", string(Baas), string(AuthProfile))),
		Alias:        r.text("ApiAlias", maxAlias),
		Interval:     time.Duration(r.number("ValidationInterval", -1, 0, int(maxInterval/time.Second))) * time.Second,
		Message:      r.text("ErrorMessage", maxMessage),
		Timeout:      time.Duration(r.number("TimeoutMs", 3000, 50, 30_000)) * time.Millisecond,
		DenyInterval: time.Duration(r.number("DenyInterval", 0, 0, int(maxInterval/time.Second))) * time.Second,
		Grace:        time.Duration(r.number("GraceSeconds", 0, 0, 3600)) * time.Second,
		Success:      r.statuses("SuccessStatus"),
		MaxPending:   r.number("MaxPendingMessages", 32, 1, 1024),
		HonourMaxAge: r.truth("HonourMaxAge", true),
	}
	p.History, p.Resume = r.protect("Protect")
	failure := r.choice("FailurePolicy", "closed", "closed", "grace")
	switch {
	case p.Type == AuthProfile && strings.HasPrefix(p.Message, markup) && !strings.Contains(p.Message, linkHole):
		r.bad("ErrorMessage", "must have "+linkHole+" where the address to sign in at goes, since it is markup")
	case p.Alias == "":
		r.bad("ApiAlias", "must name a connector or an auth profile")
	case failure == "grace" && p.Grace == 0:
		r.bad("GraceSeconds", `must be 1 to 3600 when FailurePolicy is "grace"`)
	case failure == "closed" && p.Grace != 0:
		r.bad("GraceSeconds", `takes effect only when FailurePolicy is "grace"`)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !r.known[name] {
			r.bad(name, "is not known here")
		}
	}
	return p, r.err
}

// reader takes members out of a JSON object, and keeps the first complaint.
type reader struct {
	members map[string]json.RawMessage
	known   map[string]bool
	err     error
}

func (r *reader) bad(name, msg string) {
	if r.err == nil {
		r.err = fault.BadField("SecureSessionConfig."+name, msg)
	}
}

// member decodes a member into v, which stays as it is if there is none or it is wrong.
func (r *reader) member(name string, v any, want string) (ok bool) {
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[name] = true
	raw, ok := r.members[name]
	if !ok {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil || bytes.Equal(raw, []byte("null")) {
		r.bad(name, "must be "+want)
		return false
	}
	return true
}

func (r *reader) text(name string, most int) (s string) {
	r.member(name, &s, "a string")
	if len(s) > most {
		r.bad(name, fmt.Sprintf("must have at most %d bytes", most))
	}
	return s
}

// choice is the fallback if there is no such member. Without a fallback there must be.
func (r *reader) choice(name, fallback string, of ...string) string {
	want := `"` + strings.Join(of, `" or "`) + `"`
	s := fallback
	r.member(name, &s, want)
	if !slices.Contains(of, s) {
		r.bad(name, "must be "+want)
	}
	return s
}

func (r *reader) truth(name string, fallback bool) bool {
	r.member(name, &fallback, "true or false")
	return fallback
}

// number reads a whole number, or a string that holds one. A fallback below least means
// that there must be one.
func (r *reader) number(name string, fallback, least, most int) int {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	var raw json.RawMessage
	n := fallback
	if r.member(name, &raw, want) {
		text := string(raw)
		if unquoted := ""; json.Unmarshal(raw, &unquoted) == nil {
			text = unquoted
		}
		var err error
		if n, err = strconv.Atoi(text); err != nil || text[0] == '+' || text[0] == '-' {
			n = least - 1
		}
	}
	if n < least || n > most {
		r.bad(name, "must be "+want)
	}
	return n
}

func (r *reader) statuses(name string) []int {
	const want = "a list of statuses from 200 to 299"
	list := []int{200}
	r.member(name, &list, want)
	if len(list) == 0 || slices.ContainsFunc(list, func(s int) bool { return s < 200 || s > 299 }) {
		r.bad(name, "must be "+want)
	}
	return list
}

func (r *reader) protect(name string) (history, resume bool) {
	const want = `a list of "ingress", which must be there, "history" and "resume"`
	list := []string{"ingress"}
	r.member(name, &list, want)
	seen := map[string]bool{}
	for _, s := range list {
		if seen[s] || s != "ingress" && s != "history" && s != "resume" {
			r.bad(name, "must be "+want)
		}
		seen[s] = true
	}
	if !seen["ingress"] {
		r.bad(name, "must be "+want)
	}
	return seen["history"], seen["resume"]
}
