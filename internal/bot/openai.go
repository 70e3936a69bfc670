package bot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/secret"
)

// history is where what was said before can be read.
type history interface {
	// Said answers up to limit messages of the conversation before the number, oldest
	// first, as far as they have a text.
	Said(ctx context.Context, conversation string, before int64, limit int) ([]Line, error)
}

// Line is something that was said in a conversation.
type Line struct {
	User bool // or else the bot
	Text string
}

// OpenAIConfig requires Endpoint.URL, the base of the API, Model and, if Window is not
// zero, History.
type OpenAIConfig struct {
	Endpoint
	Model   string
	Prompt  string       // the system message; empty: none
	Key     secret.Bytes // shown as bearer; may be empty
	Window  int          // messages of the conversation that the model is shown, beside the one to answer
	History history
}

// OpenAI is a bot that any server with OpenAI's POST /chat/completions is. Answers are
// streamed. It welcomes nobody.
type OpenAI struct {
	c      OpenAIConfig
	client *client
}

// NewOpenAI checks the configuration. It calls nobody yet.
func NewOpenAI(c OpenAIConfig) (*OpenAI, error) {
	switch {
	case c.Model == "":
		return nil, errors.New("an openai bot needs a model")
	case c.Window > 0 && c.History == nil:
		return nil, errors.New("an openai bot that is shown what was said needs a history")
	}
	c.URL = strings.TrimSuffix(c.URL, "/") + "/chat/completions"
	cl, err := newClient(c.Endpoint)
	if err != nil {
		return nil, err
	}
	return &OpenAI{c, cl}, nil
}

// Answer is [OpenAI.Stream] that tells nobody.
func (o *OpenAI) Answer(ctx context.Context, t Turn) (Answer, error) {
	return o.Stream(ctx, t, func(Delta) {})
}

// openAIMessage is a message as the API has it.
type openAIMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Stream asks the model. A message without a text has no answer.
func (o *OpenAI) Stream(ctx context.Context, t Turn, tell func(Delta)) (Answer, error) {
	asked := textOf(t.Body)
	if t.Kind != Message || asked == "" {
		return Answer{}, nil
	}
	messages, err := o.messages(ctx, t, asked)
	if err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(struct {
		Model    string          `json:"model"`
		Messages []openAIMessage `json:"messages"`
		Stream   bool            `json:"stream"`
	}{o.c.Model, messages, true})
	if err != nil {
		return Answer{}, err
	}
	head := func(h http.Header) {
		if o.c.Key.Len() > 0 {
			h.Set("Authorization", "Bearer "+string(o.c.Key.Reveal()))
		}
	}
	d := draft{tell: tell}
	err = o.client.post(ctx, body, head, func(resp *http.Response, r io.Reader) error {
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/event-stream" {
			return readCompletion(events(r), &d)
		}
		all, err := io.ReadAll(r) // a server that does not stream
		if err != nil {
			return err
		}
		_, err = takeCompletion(all, &d)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	reply, ok := d.end(nil)
	if !ok {
		return Answer{}, unusable("has no text")
	}
	return Answer{Replies: []Reply{reply}}, nil
}

// messages are what the model is told.
func (o *OpenAI) messages(ctx context.Context, t Turn, asked string) ([]openAIMessage, error) {
	var all []openAIMessage
	if o.c.Prompt != "" {
		all = append(all, openAIMessage{"system", o.c.Prompt})
	}
	if o.c.Window > 0 {
		before, err := o.c.History.Said(ctx, t.Conversation, t.Seq, o.c.Window)
		if err != nil {
			return nil, err
		}
		for _, l := range before {
			role := "assistant"
			if l.User {
				role = "user"
			}
			all = append(all, openAIMessage{role, l.Text})
		}
	}
	return append(all, openAIMessage{"user", asked}), nil
}

// textOf is the text of a message's body, "" if it has none.
func textOf(body json.RawMessage) string {
	var said text
	if err := json.Unmarshal(body, &said); err != nil {
		return ""
	}
	return said.Text
}

// readCompletion takes the chunks of an answer to their end, [DONE]. A stream that ends
// before is an answer that was cut off.
func readCompletion(next func() ([]byte, error), d *draft) error {
	finished := false
	for {
		chunk, err := next()
		switch {
		case errors.Is(err, errDone), errors.Is(err, io.EOF) && finished:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		last, err := takeCompletion(chunk, d)
		if err != nil {
			return err
		}
		finished = finished || last
	}
}

// takeCompletion takes a chunk, or a whole answer, and tells whether it is the last.
func takeCompletion(data []byte, d *draft) (last bool, err error) {
	var w struct {
		Choices []struct {
			Index   int           `json:"index"`
			Delta   openAIMessage `json:"delta"`
			Message openAIMessage `json:"message"`
			Finish  string        `json:"finish_reason"`
		} `json:"choices"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return false, unusable("is not a chat completion")
	}
	if w.Error != nil && string(w.Error) != "null" {
		return false, errors.New("the bot broke its answer off with an error")
	}
	for _, c := range w.Choices {
		if c.Index == 0 {
			d.grow(c.Delta.Content+c.Message.Content, time.Now())
			last = last || c.Finish != ""
		}
	}
	return last, nil
}
