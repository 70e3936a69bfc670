package connector

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkReads is what a message costs whose answer is known already: the context is
// read, and what the connector would take of it.
func BenchmarkReads(b *testing.B) {
	c := mustParse(b, with(b, `{"RequestMapping":{
		"token":{"type":"requestBody","inputPath":"$.secureTokenForUser","requestBodyPath":"$.token"},
		"jwt":{"type":"requestBody","inputPath":"$.tokens.${id}.jwt","requestBodyPath":"$.jwt","optional":true}}}`))
	for _, size := range []int{100, 10_000} {
		doc := []byte(`{"secureTokenForUser":"` + strings.Repeat("x", 40) + `","id":"a","tokens":{"a":{"jwt":"y"}},"list":[` + strings.Repeat(`"abcdefg",`, size/10) + `1]}`)
		b.Run(fmt.Sprintf("parse/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseInput(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
		in := inputOf(b, string(doc))
		b.Run(fmt.Sprintf("reads/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if values, missing := c.Reads(in); len(values) != 3 || len(missing) != 0 {
					b.Fatal(values, missing)
				}
			}
		})
	}
}
