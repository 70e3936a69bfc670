package kore

import (
	"container/list"
	"sync"
	"time"
)

// maxUsed is how many names are remembered, at about 200 bytes each.
const maxUsed = 1 << 16

// once lets each name be used once while it is good. It remembers so many names at the
// most and forgets the oldest first: who makes it forget has used as many good ones
// meanwhile. Other nodes do not know. Safe for concurrent use.
type once struct {
	most int

	mu    sync.Mutex
	until map[string]*list.Element
	order *list.List // of use, oldest first
}

type use struct {
	name  string
	until time.Time
}

func newOnce(most int) *once {
	return &once{most: most, until: map[string]*list.Element{}, order: list.New()}
}

// use is false if name was used before. The name need not be kept longer than until.
func (o *once) use(name string, now, until time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e, ok := o.until[name]; ok && now.Before(e.Value.(use).until) {
		return false
	} else if ok {
		o.forget(e)
	}
	for e := o.order.Front(); e != nil && (len(o.until) >= o.most || !now.Before(e.Value.(use).until)); e = o.order.Front() {
		o.forget(e)
	}
	o.until[name] = o.order.PushBack(use{name, until})
	return true
}

// has tells whether name was used.
func (o *once) has(name string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.until[name]
	return ok && now.Before(e.Value.(use).until)
}

func (o *once) forget(e *list.Element) {
	delete(o.until, e.Value.(use).name)
	o.order.Remove(e)
}
