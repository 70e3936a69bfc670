package chat

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/socket"
)

// reference is docs/protocol.md: the tables under a heading, by their first header.
func reference(t *testing.T, heading, header string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, found := strings.Cut(section, "\n| "+header+" | ")
	if !found {
		t.Fatalf("no table of %q under %q", header, heading)
	}
	for i, line := range strings.Split(table, "\n") {
		if i > 0 && !strings.HasPrefix(line, "|") {
			break
		}
		if i < 2 {
			continue
		}
		line = strings.ReplaceAll(strings.Trim(line, "| "), "| |", "|  |")
		cells := strings.Split(line, "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		rows = append(rows, cells)
	}
	return rows
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

// words are those of a cell in backticks, sorted.
func words(cell string) []string {
	found := []string{}
	for _, m := range inBackticks.FindAllStringSubmatch(cell, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return found
}

// documented is a table of types and their members.
func documented(t *testing.T, heading, header string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, row := range reference(t, heading, header) {
		all[strings.Trim(row[0], "`")] = words(row[1])
	}
	return all
}

// sources are the files of a package, without its tests.
func sources(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no source in %s: %v", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// each calls f for all nodes of a type in the source of a package.
func each[N ast.Node](t *testing.T, dir string, f func(N)) {
	t.Helper()
	for _, file := range sources(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			if n, ok := n.(N); ok {
				f(n)
			}
			return true
		})
	}
}

func quoted(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// TestReferenceOfClientFrames: the reference has the types of the decoders, with the
// members that each reads.
func TestReferenceOfClientFrames(t *testing.T) {
	t.Parallel()
	read := map[string][]string{}
	each(t, ".", func(pair *ast.KeyValueExpr) {
		kind, isText := quoted(pair.Key)
		body, isDecoder := pair.Value.(*ast.FuncLit)
		if _, known := decoders[kind]; !isText || !isDecoder || !known {
			return
		}
		read[kind] = []string{}
		ast.Inspect(body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name, ok := quoted(call.Args[0])
			if !ok {
				return true
			}
			if len(call.Args) > 1 {
				if need, ok := call.Args[1].(*ast.Ident); ok && need.Name == "optional" {
					name += "?"
				}
			}
			read[kind] = append(read[kind], name)
			return true
		})
		slices.Sort(read[kind])
	})
	if len(read) != len(decoders) {
		t.Fatalf("%d decoders found, want %d", len(read), len(decoders))
	}
	if diff := cmp.Diff(read, documented(t, "Frames of the client", "type")); diff != "" {
		t.Errorf("docs/protocol.md (-code +reference):\n%s", diff)
	}
}

// told are the frames of the server. The three that share a struct have their members here.
var told = map[string]any{
	"welcome": welcomeFrame{}, "ack": ackFrame{}, "nack": nackFrame{}, "message": messageFrame{},
	"delta": deltaFrame{}, "session": sessionFrame{}, "secure": secureFrame{}, "context": doneFrame{}, "error": errorFrame{},
	"close": closeFrame{}, "typing": []string{"from?"}, "read": []string{"seq"}, "pong": []string{},
}

// wireMembers are the members of a struct as JSON names them.
func wireMembers(s any) []string {
	if names, ok := s.([]string); ok {
		return names
	}
	names := []string{}
	for f := range reflect.TypeOf(s).Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if strings.Contains(options, "omitempty") {
			name += "?"
		}
		if name != "type" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestReferenceOfServerFrames(t *testing.T) {
	t.Parallel()
	code, structs := map[string][]string{}, map[string]bool{"markFrame": true}
	for kind, s := range told {
		code[kind] = wireMembers(s)
		structs[reflect.TypeOf(s).Name()] = true
	}
	if diff := cmp.Diff(code, documented(t, "Frames of the server", "type")); diff != "" {
		t.Errorf("docs/protocol.md (-code +reference):\n%s", diff)
	}
	each(t, ".", func(s *ast.TypeSpec) {
		body, ok := s.Type.(*ast.StructType)
		if ok && strings.HasSuffix(s.Name.Name, "Frame") && len(body.Fields.List) > 0 && body.Fields.List[0].Tag != nil && !structs[s.Name.Name] {
			t.Errorf("%s is not in told", s.Name.Name)
		}
	})
	parts := map[string][]string{"user": wireMembers(wireUser{}), "error": wireMembers(wireError{})}
	if diff := cmp.Diff(parts, documented(t, "Frames of the server", "part")); diff != "" {
		t.Errorf("docs/protocol.md (-code +reference):\n%s", diff)
	}
}

// TestReferenceOfErrors: the codes are those of all kinds of faults, and the words that
// the code has for errors of its own.
func TestReferenceOfErrors(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	for k := range closeCodes {
		codes[k.String()] = true
	}
	for _, dir := range []string{".", "../../chat"} {
		each(t, dir, func(pair *ast.KeyValueExpr) {
			if name, ok := pair.Key.(*ast.Ident); ok && name.Name == "Code" {
				if code, ok := quoted(pair.Value); ok {
					codes[code] = true
				}
			}
		})
		each(t, dir, func(call *ast.CallExpr) {
			if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "refuse" {
				if code, ok := quoted(call.Args[1]); ok {
					codes[code] = true
				}
			}
		})
	}
	each(t, "../../securesession", func(s *ast.ValueSpec) {
		if kind, ok := s.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			if code, ok := quoted(s.Values[0]); ok {
				codes[code] = true
			}
		}
	})
	for _, row := range reference(t, "Errors", "code") {
		code := strings.Trim(row[0], "`")
		if !codes[code] {
			t.Errorf("docs/protocol.md has the code %s, which nothing says", code)
		}
		delete(codes, code)
	}
	for code := range codes {
		t.Errorf("docs/protocol.md lacks the code %s", code)
	}
}

func TestReferenceOfCloseCodes(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	each(t, ".", func(s *ast.ValueSpec) {
		if kind, ok := s.Type.(*ast.Ident); ok && kind.Name == "closeCode" {
			codes[s.Values[0].(*ast.BasicLit).Value] = true
		}
	})
	if !codes[fmt.Sprint(uint16(closeSlowReader))] {
		t.Fatalf("close codes %v", codes)
	}
	for _, row := range reference(t, "Close codes", "close code") {
		n, err := strconv.Atoi(row[0])
		if err != nil || !codes[row[0]] {
			t.Errorf("docs/protocol.md has the close code %s, which the code does not", row[0])
		}
		if stops := strings.HasPrefix(row[2], "stops"); stops != (n < 4500) {
			t.Errorf("%d: %s", n, row[2])
		}
		delete(codes, row[0])
	}
	for code := range codes {
		t.Errorf("docs/protocol.md lacks the close code %s", code)
	}
}

func TestReferenceOfLimits(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	limits := map[string]int{
		"bytes of a frame, and of the body of a request with frames": maxFrame,
		"levels of objects and lists in a frame":                     maxDepth,
		"bytes of a message's body":                                  chat.MaxBody,
		"bytes of a conversation's context":                          chat.MaxContext,
		"bytes of a token":                                           jose.MaxToken,
		"bytes of `session`":                                         maxSession,
		"bytes of `bot`, `conversation` and ids":                     maxName,
		"sends of a connection without an answer":                    window(t),
		"frames of a connection, or of a request, at once":           framesBurst,
		"frames of a connection in a second, on and on":              int(time.Second / frameEvery),
		"requests with frames of a user in a second, to a node":      saysPerUser.N,
		"seconds until hello":                                        int(helloTimeout / time.Second),
		"seconds that an answer to a request with frames may take":   int(answerWithin / time.Second),
		"seconds from a token's expiry to the end":                   int(expiryGrace / time.Second),
		"seconds that one frame may take to leave by WebSocket":      int(socket.WriteTimeout / time.Second),
		"seconds of `ping_interval`":                                 int(h.c.PingInterval / time.Second),
		"frames that may wait for a client":                          socket.MaxQueued,
		"bytes that may wait for a client":                           socket.MaxQueuedBytes,
		"messages of a page of history, at most":                     chat.MaxPage,
		"messages of a page of history, if not said":                 chat.DefaultPage,
		"connections of an address (IPv6: of a /64), by default":     h.c.PerAddr,
	}
	if chat.MaxID != maxName || time.Duration(saysPerUser.Per) != time.Second {
		t.Error("ids have a bound of their own, or requests are not counted by the second")
	}
	written := map[string]int{}
	for _, row := range reference(t, "Limits", "limit") {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			t.Errorf("%s: %v", row[0], err)
		}
		written[row[0]] = n
	}
	if diff := cmp.Diff(limits, written); diff != "" {
		t.Errorf("docs/protocol.md (-code +reference):\n%s", diff)
	}
}

// window is how many sends a session takes that have no answer: the store is held, and
// the next is refused.
func window(t *testing.T) (n int) {
	t.Helper()
	w := newWorld(t) // whose engine does not run
	u := chat.User{Issuer: issuer, Subject: "ann"}
	c := &conn{h: w.Handler, out: socket.Queue{Line: make(tap, socket.MaxQueued)}}
	s, err := w.engine.Open(t.Context(), chat.Hello{User: u, Bot: "echo", After: chat.FromNow}, c)
	if err != nil {
		t.Fatal(err)
	}
	refused := &counter{}
	s, err = w.engine.Visit(t.Context(), u, s.Conversation().ID, netip.Addr{}, refused)
	if err != nil {
		t.Fatal(err)
	}
	for ; refused.nacks == 0 && n < 1000; n++ {
		s.Send(fmt.Sprint("m", n), []byte("1"))
	}
	return n - 1
}

// counter counts refusals.
type counter struct {
	conn
	nacks int
}

func (c *counter) Nack(string, *fault.Error) { c.nacks++ }
