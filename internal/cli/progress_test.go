package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	t.Parallel()
	begun := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		total, bytes, rows, mine int64
		took                     time.Duration
		want                     string
	}{
		"unknown size": {0, 500, 1_234_567, 1_234_567, 10 * time.Second, "1,234,567 rows  123,456/s"},
		"a quarter":    {1000, 250, 1000, 1000, 10 * time.Second, "[######..................]  25%  1,000 rows  100/s  30s left"},
		"resumed":      {1000, 500, 5000, 100, 10 * time.Second, "[############............]  50%  5,000 rows  10/s  10s left"},
		"all":          {1000, 1000, 5000, 5000, time.Second, "[########################] 100%  5,000 rows  5,000/s"},
		"file grows":   {1000, 2000, 1, 1, time.Second, "[########################] 100%  1 rows  1/s"},
		"no time":      {1000, 0, 0, 0, 0, "[........................]   0%  0 rows  0/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &progress{total: tc.total, begun: begun}
			if got := p.line(begun.Add(tc.took), tc.bytes, tc.rows, tc.mine); got != tc.want {
				t.Errorf("line = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestProgressTells(t *testing.T) {
	t.Parallel()
	begun := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	p := newProgress(&out, 100, begun)
	for i := range 301 { // half a minute
		p.tell(begun.Add(time.Duration(i)*100*time.Millisecond), int64(i/4), int64(i), int64(i))
	}
	p.end()
	if got := strings.Count(out.String(), "\n"); got != 3 || strings.Contains(out.String(), "\r") {
		t.Errorf("in half a minute %d lines were written:\n%s", got, out.String())
	}
	out.Reset()
	p = newProgress(&out, 100, begun)
	p.terminal = true
	for i := range 31 {
		p.tell(begun.Add(time.Duration(i)*50*time.Millisecond), 50, 1, 1)
	}
	p.end()
	if got := strings.Count(out.String(), "\r\x1b[K["); got != 15 || strings.Contains(out.String(), "\n") || !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("a terminal was drawn %d times: %q", got, out.String())
	}
}

func TestGraceOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "0s": 0, "12h30m": 12*time.Hour + 30*time.Minute, "0d": 0, "106751d": 106751 * 24 * time.Hour} {
		if got, err := graceOf(text); err != nil || got != want {
			t.Errorf("graceOf(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "-1h", "1.5d", "soon", "106752d", "30"} {
		if got, err := graceOf(text); err == nil {
			t.Errorf("graceOf(%q) = %v", text, got)
		}
	}
}
