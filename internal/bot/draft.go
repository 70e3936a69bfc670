package bot

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/wire"
)

// deltaEvery is how often a reply's growth is told at most: what comes sooner is told
// together with what follows, and the last of it by the reply itself.
const deltaEvery = 50 * time.Millisecond

// draft is the reply that is being streamed.
type draft struct {
	tell func(Delta)
	id   string // empty: nothing of it has come yet
	text strings.Builder
	last int // how much of the text has been told
	at   time.Time
}

// grow adds to the text of the reply.
func (d *draft) grow(text string, now time.Time) {
	if text == "" {
		return
	}
	if d.id == "" {
		d.id = NewReplyID()
	}
	d.text.WriteString(text)
	if now.Sub(d.at) < deltaEvery {
		return
	}
	d.tell(Delta{d.id, d.text.String()[d.last:]})
	d.last, d.at = d.text.Len(), now
}

// end is the reply with the body, or if that is nil with the text; false if there is
// neither. Another reply may follow.
func (d *draft) end(body json.RawMessage) (Reply, bool) {
	r := Reply{ID: d.id, Body: body}
	if body == nil {
		if d.text.Len() == 0 {
			return Reply{}, false
		}
		r.Body = textBody(d.text.String())
	}
	d.id, d.last = "", 0
	d.text.Reset()
	return r, true
}

// textBody is {"text":…}.
func textBody(s string) json.RawMessage {
	body, _ := wire.JSON(text{Text: s}) // a string always encodes
	return body
}
