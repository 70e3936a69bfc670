package chat

import "context"

// pageSize is how many messages are read from the store at once, if who needs them has
// room for so many.
const pageSize = 100

// catchUp starts reading what sessions lack, unless that is being done or none can
// take anything. The room is locked.
func (r *room) catchUp() {
	if !r.reading && r.hungriest() != nil {
		r.reading = r.engine.crew.Start(r.readAll)
	}
}

// readAll reads pages until no session wants more, or until the store fails: the next
// sweep tries again then.
func (r *room) readAll(ctx context.Context) {
	for more := true; more; {
		more = r.readPage(ctx)
	}
}

func (r *room) readPage(ctx context.Context) (more bool) {
	r.mu.Lock()
	s := r.hungriest()
	if s == nil {
		r.reading = false
		r.mu.Unlock()
		return false
	}
	after, known, stored, most := s.last, r.known, r.stored, min(pageSize, max(1, s.sink.Free()))
	r.mu.Unlock()

	page, err := r.engine.c.Store.MessagesAfter(ctx, r.id, after, most)
	r.engine.storeTrouble.note(ctx, err)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.reading = false
		return false
	}
	if len(page) > 0 {
		r.known = max(r.known, page[len(page)-1].Seq)
	} else if r.known == known {
		r.known = max(after, stored) // what was said to be there is not, yet
	}
	for _, s := range r.sessions {
		if s.ready && s.last >= after {
			s.unsure = s.unsure && len(page) == most
			s.takePage(page)
			if len(page) == 0 {
				s.last = max(s.last, stored) // what was there is gone
			}
		}
	}
	return true
}

// hungriest is the session that is furthest behind of those that can take messages.
func (r *room) hungriest() *Session {
	var found *Session
	for _, s := range r.sessions {
		if (s.unsure || s.last < r.known) && s.ready && (found == nil || s.last < found.last) && s.sink.Free() > 0 {
			found = s
		}
	}
	return found
}

// takePage gives the sink as much of a page as its queue has room for. What is missing
// before the page is kept no longer.
func (s *Session) takePage(page []Message) {
	if len(page) > 0 {
		s.last = max(s.last, page[0].Seq-1)
	}
	free := s.sink.Free()
	for _, m := range page {
		if m.Seq == s.last+1 && free > 0 {
			s.take(m)
			free--
		}
	}
}
