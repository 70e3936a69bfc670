package soak

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// simulation is a system that does all as it should, and notes what its clients and its
// bot would.
type simulation struct {
	r      *rand.Rand
	record Record
	moment int64
}

// simulate is the record of a run in which nothing goes wrong.
func simulate(seed uint64) Record {
	s := &simulation{r: random(seed, 0), record: Record{Histories: map[string][]Message{}}}
	for i := range 2 + s.r.IntN(3) {
		s.converse(fmt.Sprintf("cnv_%d", i), fmt.Sprintf("user-%d", i))
	}
	return s.record
}

// party is a conversation that is going on.
type party struct {
	*simulation
	id      string
	history []Message
	clients []*Client
	queue   []wish
	pushes  []Message
	seq     map[string]int64
}

func (s *simulation) converse(id, user string) {
	p := &party{simulation: s, id: id, seq: map[string]int64{}}
	for _, device := range []string{"a", "b"}[:1+s.r.IntN(2)] {
		p.clients = append(p.clients, &Client{Name: user + device, User: user, Conversation: id})
	}
	p.call("", "", 0)
	p.say("bot", "welcome-1", texted(welcome))
	for range 20 + s.r.IntN(20) {
		switch s.r.IntN(3) {
		case 0:
			p.ask()
		case 1:
			p.work()
		case 2:
			p.push()
		}
	}
	p.ask()
	for len(p.queue)+len(p.pushes) > 0 {
		p.work()
		p.push()
	}
	s.record.Histories[id] = p.history
	for _, c := range p.clients {
		p.stream(c)
		s.record.Clients = append(s.record.Clients, *c)
	}
}

func (p *party) say(from, id string, body string) int64 {
	m := Message{int64(len(p.history)) + 1, id, from, body, strconv.Itoa(len(p.history))}
	p.history = append(p.history, m)
	return m.Seq
}

// ask has a client send something.
func (p *party) ask() {
	c := p.clients[p.r.IntN(len(p.clients))]
	id := fmt.Sprintf("%s-%d", c.Name, len(c.Sends))
	w := wish{Text: id, Want: wants[p.r.IntN(len(wants))], Replies: 1 + p.r.IntN(2)}
	send := Send{ID: id, Body: canonical([]byte(encode(w))), Refused: p.r.IntN(10) == 0, Delayed: p.r.IntN(10) == 0}
	c.Sends = append(c.Sends, send)
	if send.Refused {
		return
	}
	seq := p.say("user", id, send.Body)
	p.seq[id] = seq
	p.queue = append(p.queue, w)
	for range p.r.IntN(3) { // as often as it was sent
		c.Acks = append(c.Acks, Ack{id, seq, p.history[seq-1].At})
	}
}

// call has the bot be called until it answers.
func (p *party) call(id, body string, seq int64) {
	for {
		p.moment++
		c := Call{Conversation: p.id, ID: id, Seq: seq, Body: body, Began: p.moment}
		if p.r.IntN(4) > 0 {
			p.moment++
			c.Answered = p.moment
		}
		p.record.Calls = append(p.record.Calls, c)
		if c.Answered > 0 && p.r.IntN(8) > 0 { // else the answer is lost
			return
		}
	}
}

// work ends the oldest turn.
func (p *party) work() {
	if len(p.queue) == 0 {
		return
	}
	w := p.queue[0]
	p.queue = p.queue[1:]
	p.call(w.Text, canonical([]byte(encode(w))), p.seq[w.Text])
	if w.Want == refuse {
		p.say("system", "system-"+w.Text, texted("sorry"))
	}
	for k := range w.replies() {
		p.say("bot", fmt.Sprintf("bot-%s-%d", w.Text, k+1), texted(reply(w.Text, k+1)))
	}
	for k := range w.pushes() {
		p.pushes = append(p.pushes, Message{ID: fmt.Sprintf("push-%s-%d", w.Text, k+1), Body: texted(reply(w.Text, k+1))})
	}
}

func (p *party) push() {
	if len(p.pushes) > 0 {
		p.say("bot", p.pushes[0].ID, p.pushes[0].Body)
		p.pushes = p.pushes[1:]
	}
}

// stream gives a client all, over some connections.
func (p *party) stream(c *Client) {
	for at := 0; ; {
		n := min(p.r.IntN(12), len(p.history)-at)
		c.Streams = append(c.Streams, Stream{int64(at), append([]Message(nil), p.history[at:at+n]...)})
		if at += n; at == len(p.history) {
			return
		}
	}
}

func texted(text string) string { return encode(map[string]string{"text": text}) }
