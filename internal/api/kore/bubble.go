package kore

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/wire"
)

// said is a message's body as the SDK can draw it.
type said struct {
	Text         string          `json:"text"`
	QuickReplies []choice        `json:"quick_replies"`
	Buttons      []choice        `json:"buttons"`
	Kore         json.RawMessage `json:"kore"` // a template of Kore's, which is sent as it is
	Attachments  json.RawMessage `json:"attachments"`
}

// choice is a quick reply or a button: {title, payload} or {title, url}, or a text that
// is both title and payload.
type choice struct {
	Title   string `json:"title"`
	Payload string `json:"payload"`
	URL     string `json:"url"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *choice) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &c.Title) == nil {
		c.Payload = c.Title
		return nil
	}
	type plain choice
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	if c.Payload == "" {
		c.Payload = c.Title
	}
	return nil
}

// read reads a body. One of another shape is a text: its JSON.
func read(body json.RawMessage) said {
	var s said
	if json.Unmarshal(body, &s) != nil {
		s = said{}
		_ = json.Unmarshal(body, &s.Text) // a body that is a text
	}
	if s.plain() == "" && !s.template() {
		s.Text = string(body)
	}
	return s
}

// plain is s without what is more than text.
func (s said) plain() string {
	if s.Text == "" {
		return fileNames(s.Attachments)
	}
	return s.Text
}

// template tells whether s is more than text.
func (s said) template() bool {
	return len(s.Kore) > 0 && s.Kore[0] == '{' || len(s.QuickReplies) > 0 || len(s.Buttons) > 0
}

// template is a message that is more than text, as the history has it.
type template struct {
	Type    string `json:"type"`
	Payload any    `json:"payload"`
}

type repliesPayload struct {
	TemplateType string  `json:"template_type"`
	Text         string  `json:"text"`
	QuickReplies []reply `json:"quick_replies,omitempty"`
	Buttons      []reply `json:"buttons,omitempty"`
}

// reply is a choice in Kore's words. Of quick replies the type is the content type.
type reply struct {
	Type        string `json:"type,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Title       string `json:"title"`
	Payload     string `json:"payload,omitempty"`
	URL         string `json:"url,omitempty"`
}

// toTemplate takes quick replies and buttons together if there are both: the SDK draws
// one of the two.
func (s said) toTemplate() template {
	if len(s.Kore) > 0 {
		return template{"template", s.Kore}
	}
	p := repliesPayload{TemplateType: "button", Text: s.Text}
	if len(s.QuickReplies) > 0 {
		p.TemplateType = "quick_replies"
	}
	for _, c := range append(s.QuickReplies, s.Buttons...) {
		r, kind := reply{Title: c.Title, Payload: c.Payload}, "postback"
		if c.URL != "" {
			r.Payload, r.URL, kind = "", c.URL, "web_url"
		}
		if p.TemplateType == "button" {
			r.Type = kind
			p.Buttons = append(p.Buttons, r)
			continue
		}
		if r.ContentType = "text"; c.URL != "" {
			r.ContentType = kind
		}
		p.QuickReplies = append(p.QuickReplies, r)
	}
	return template{"template", p}
}

// component is the part of a frame that is drawn. The SDK takes what is in the payload
// for the component if the payload has no text.
type component struct {
	Type    string `json:"type"`
	Payload any    `json:"payload"`
}

type textPayload struct {
	Text  string `json:"text"`
	Color string `json:"color,omitempty"`
}

// toComponent is s as it is sent.
func (s said) toComponent() component {
	if s.template() {
		return component{"template", s.toTemplate()}
	}
	return component{"text", textPayload{Text: s.plain()}}
}

// toHistory is s as the history has it: a template is the text of its JSON, and what is
// no template must not be JSON, since the SDK would take it for one. A text that is, such
// as a number, gets a mark at its end that nobody sees.
func (s said) toHistory() string {
	if s.template() {
		text, err := wire.JSON(s.toTemplate())
		if err != nil {
			return s.Text
		}
		return string(text)
	}
	if text := s.plain(); !json.Valid([]byte(text)) {
		return text
	}
	return s.plain() + "\ufeff"
}

// fileNames is what stands for attachments without a text.
func fileNames(attachments json.RawMessage) string {
	var files []struct {
		Name string `json:"fileName"`
	}
	_ = json.Unmarshal(attachments, &files) // of another shape: no names
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// bubbleID is the id of a user's bubble, which the SDK takes for its time, too. Messages
// of other clients get one that grows with the order.
func bubbleID(m chat.Message) json.Number {
	if m.ID[0] != '0' && strings.Trim(m.ID, "0123456789") == "" && len(m.ID) < 16 {
		return json.Number(m.ID)
	}
	return json.Number(strconv.FormatInt(m.At.UnixMilli()+m.Seq, 10))
}
