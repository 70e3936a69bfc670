// Package web serves the web SDK and the demo page. Both are TypeScript in sdk and demo;
// what is served is in dist, which `go run ./web/build` makes of them.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed dist
var dist embed.FS

// Demo is what the demo page asks for at /demo.json.
type Demo struct {
	ClientID string   `json:"client_id"` // of a public app, whose visitors may be anonymous
	Bots     []string `json:"bots"`      // to choose from
}

// Options says what to serve beside the SDK.
type Options struct {
	Demo *Demo // nil: no demo page
}

// policy is the demo page's: scripts, styles and connections of its own origin alone,
// and no text that becomes code.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// scripts are the files that pages of other sites load.
var scripts = []string{"sdk/carnet.js", "sdk/carnet.global.js", "sdk/carnet-chat.js"}

// Script is a file of the SDK as it is served.
type Script struct {
	Path      string // of its address, without the version
	Version   string // changes with the content; see [Handler]
	Size      int    // bytes
	Gzip      int    // bytes, compressed
	Integrity string // for the attribute of that name (Subresource Integrity)
	Module    bool   // to be loaded with type=module
}

// Scripts tells of the files that pages of other sites load.
func Scripts() []Script {
	all := make([]Script, len(scripts))
	for i, name := range scripts {
		f := open(name)
		sum := sha512.Sum384(f.plain)
		all[i] = Script{
			Path: "/" + name, Version: f.version, Size: len(f.plain), Gzip: len(f.gzipped),
			Integrity: "sha384-" + base64.StdEncoding.EncodeToString(sum[:]),
			Module:    !strings.HasSuffix(name, ".global.js"),
		}
	}
	return all
}

// Handler serves the scripts below /sdk/, which pages of any origin may load, and with a
// demo the page at / with its parts. All else is not found.
//
// Browsers ask each time whether a file has changed. An address with ?v= and the file's
// version, which is its ETag without quotes, they may keep for good.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	for _, name := range scripts {
		mux.Handle("GET /"+name, anyOrigin(open(name)))
	}
	if o.Demo == nil {
		return mux
	}
	mux.Handle("GET /{$}", page(open("demo/index.html")))
	for _, name := range []string{"demo/demo.js", "demo/demo.css", "demo/icon.svg"} {
		mux.Handle("GET /"+name, open(name))
	}
	facts, _ := json.Marshal(o.Demo) // strings can be written
	mux.Handle("GET /demo.json", newFile("demo.json", facts))
	return mux
}

// anyOrigin lets pages of other sites load what next serves.
func anyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		next.ServeHTTP(w, r)
	})
}

func page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// file is a file as it is served, plain and compressed.
type file struct {
	media   string
	version string
	plain   []byte
	gzipped []byte
}

// open reads a file of dist. That it is there is certain since the program was built.
func open(name string) *file {
	content, err := dist.ReadFile("dist/" + name)
	if err != nil {
		panic(err)
	}
	return newFile(name, content)
}

func newFile(name string, content []byte) *file {
	hash := sha256.Sum256(content)
	return &file{
		media: map[string]string{
			".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
			".svg": "image/svg+xml", ".json": "application/json",
		}[path.Ext(name)],
		version: base64.RawURLEncoding.EncodeToString(hash[:12]),
		plain:   content,
		gzipped: compress(content),
	}
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a valid one
	_, _ = z.Write(content)                               // a buffer takes all
	_ = z.Close()
	return b.Bytes()
}

// ServeHTTP implements [http.Handler].
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, etag := f.plain, f.version
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		content, etag = f.gzipped, f.version+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+etag+`"`)
	h.Set("Content-Type", f.media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip reads an Accept-Encoding (RFC 9110 §12.5.3).
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		weight, weighted := strings.CutPrefix(strings.TrimSpace(parameters), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !weighted || err == nil && q > 0
	}
	return false
}
