package bot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/wire"
)

// wireAnswer is what a webhook answers, or a part of it that a stream brings.
type wireAnswer struct {
	Messages []json.RawMessage `json:"messages"`
	Context  json.RawMessage   `json:"context"`

	// Of streams alone.
	Message json.RawMessage `json:"message"`
	Delta   *struct {
		Text string `json:"text"`
	} `json:"delta"`
}

// readAnswer reads the answer of a webhook, whose type says whether it is a stream.
func readAnswer(contentType string, r io.Reader, tell func(Delta)) (Answer, error) {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		s := stream{draft: draft{tell: tell}}
		return s.read(lines(r))
	case "text/event-stream":
		s := stream{draft: draft{tell: tell}}
		return s.read(events(r))
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return Answer{}, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Answer{}, nil
	}
	w, err := parse(data)
	if err != nil {
		return Answer{}, unusable("is not a JSON object")
	}
	if w.Messages == nil && w.Context == nil {
		return Answer{}, unusable(`has neither "messages" nor "context"`)
	}
	var s stream
	err = s.take(w, time.Time{})
	return s.answer, err
}

// parse reads an answer, or a part of one. A byte that is no UTF-8 becomes U+FFFD, as in
// deltas: no client takes a frame that has one, nor PostgreSQL a message.
func parse(data []byte) (w wireAnswer, err error) {
	err = json.Unmarshal(bytes.ToValidUTF8(data, []byte("\uFFFD")), &w)
	return w, err
}

// stream puts an answer together from its parts.
type stream struct {
	draft  draft
	answer Answer
}

// maxParts bounds the replies of an answer while it is read. How many may be kept is
// for who keeps them.
const maxParts = 256

// read takes parts until next says io.EOF. Text that no message has ended is one.
func (s *stream) read(next func() ([]byte, error)) (Answer, error) {
	for {
		part, err := next()
		if errors.Is(err, io.EOF) || errors.Is(err, errDone) {
			break
		}
		if err != nil {
			return Answer{}, err
		}
		w, err := parse(part)
		if err != nil {
			return Answer{}, unusable("has a part that is not a JSON object")
		}
		if err := s.take(w, time.Now()); err != nil {
			return Answer{}, err
		}
	}
	if r, ok := s.draft.end(nil); ok {
		s.answer.Replies = append(s.answer.Replies, r)
	}
	return s.answer, nil
}

func (s *stream) take(w wireAnswer, now time.Time) error {
	if w.Delta != nil {
		s.draft.grow(w.Delta.Text, now)
	}
	if w.Message != nil {
		w.Messages = append([]json.RawMessage{w.Message}, w.Messages...)
	}
	for _, m := range w.Messages {
		body, err := bodyOf(m)
		if err != nil {
			return err
		}
		r, _ := s.draft.end(body)
		if s.answer.Replies = append(s.answer.Replies, r); len(s.answer.Replies) > maxParts {
			return unusable("has more than %d messages", maxParts)
		}
	}
	if w.Context == nil || string(w.Context) == "null" {
		return nil
	}
	merged, err := mergeMembers(s.answer.Context, w.Context)
	s.answer.Context = merged
	return err
}

// mergeMembers is a with the members of b, which may come in parts, over it.
func mergeMembers(a, b json.RawMessage) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	for _, object := range []json.RawMessage{a, b} {
		if object == nil {
			continue
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(object, &members); err != nil || members == nil {
			return nil, unusable(`has a "context" that is not an object`)
		}
		for name, value := range members {
			all[name] = value
		}
	}
	return wire.JSON(all)
}

// bodyOf is the body of a message: its member body, or else the message itself, which
// then has a text.
func bodyOf(m json.RawMessage) (json.RawMessage, error) {
	var w struct {
		Text *string         `json:"text"`
		Body json.RawMessage `json:"body"`
	}
	err := json.Unmarshal(m, &w)
	switch {
	case err == nil && w.Body != nil && string(w.Body) != "null":
		return w.Body, nil
	case err == nil && w.Text != nil:
		return m, nil
	}
	return nil, unusable(`has a message that has neither a "text" nor a "body"`)
}

// lines are those of r that are not empty.
func lines(r io.Reader) func() ([]byte, error) {
	b := bufio.NewReaderSize(r, 4<<10)
	return func() ([]byte, error) {
		for {
			line, err := b.ReadBytes('\n')
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = nil
			}
			if err != nil {
				return nil, err
			}
			if line = bytes.TrimSpace(line); len(line) > 0 {
				return line, nil
			}
		}
	}
}

// events are the data of server-sent events (HTML section 9.2), to the end of r or an
// event [DONE]. Names, ids and comments are not looked at.
func events(r io.Reader) func() ([]byte, error) {
	b := bufio.NewReaderSize(r, 4<<10)
	return func() ([]byte, error) {
		var data []string
		for {
			line, err := b.ReadString('\n')
			if err != nil {
				return nil, err // an event that no empty line ends does not count
			}
			line = strings.TrimRight(line, "\r\n")
			if value, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(value, " "))
			}
			if line != "" || len(data) == 0 {
				continue
			}
			if event := strings.Join(data, "\n"); event != "[DONE]" {
				return []byte(event), nil
			}
			return nil, errDone
		}
	}
}

// errDone is the end that a stream states itself.
var errDone = errors.New("done")
