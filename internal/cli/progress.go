package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// progress tells how a long work goes on: on a terminal a line that is drawn again and
// again, elsewhere a line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	total    int64 // bytes of the input; 0: unknown
	begun    time.Time
	told     time.Time
}

const (
	drawEvery = 100 * time.Millisecond
	lineEvery = 10 * time.Second
)

func newProgress(w io.Writer, total int64, now time.Time) *progress {
	return &progress{w: w, terminal: isTerminal(w), total: total, begun: now, told: now}
}

// isTerminal tells whether somebody looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// tell shows how many bytes and rows are done, of which rows this run did some.
func (p *progress) tell(now time.Time, bytes, rows, mine int64) {
	every := lineEvery
	if p.terminal {
		every = drawEvery
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	if line := p.line(now, bytes, rows, mine); p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// end leaves the line of a terminal.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) line(now time.Time, bytes, rows, mine int64) string {
	took := now.Sub(p.begun)
	text := fmt.Sprintf("%s rows  %s/s", grouped(rows), grouped(perSecond(mine, took)))
	if p.total <= 0 {
		return text
	}
	const width = 24
	part := min(float64(bytes)/float64(p.total), 1)
	done := int(part * width)
	text = fmt.Sprintf("[%s%s] %3.0f%%  %s", strings.Repeat("#", done), strings.Repeat(".", width-done), part*100, text)
	if part > 0 && part < 1 {
		left := time.Duration(float64(took) * (1 - part) / part)
		text += fmt.Sprintf("  %s left", left.Round(time.Second))
	}
	return text
}

func perSecond(n int64, took time.Duration) int64 {
	if took <= 0 {
		return 0
	}
	return int64(float64(n) / took.Seconds())
}

// grouped writes n with a comma after each thousand.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// metered counts what is read of r.
type metered struct {
	r    io.Reader
	read atomic.Int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.read.Add(int64(n))
	return n, err
}
