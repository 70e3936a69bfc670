package carnet_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/api.txt anew")

// TestPublicAPI compares what the public packages export with testdata/api.txt, so
// that nobody changes it without seeing it: go test -run PublicAPI -update
func TestPublicAPI(t *testing.T) {
	t.Parallel()
	const golden = "testdata/api.txt"
	got := exports(t, ".", "carnet") + "\n" + exports(t, "carnettest", "carnettest") + "\n" + exports(t, "webhook", "webhook")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the exported API is not that of %s: -want +got\n%s", golden, diff)
	}
}

// exports lists the exported declarations of the package in dir, one a line.
func exports(t *testing.T, dir, name string) string {
	t.Helper()
	files := token.NewFileSet()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, dir+"/"+e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	p, err := doc.NewFromFiles(files, parsed, name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	add := func(prefix string, node any) {
		lines = append(lines, "package "+name+", "+prefix+oneLine(t, files, node))
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, spec := range v.Decl.Specs {
				for _, n := range spec.(*ast.ValueSpec).Names {
					if n.IsExported() {
						add(v.Decl.Tok.String()+" ", n)
					}
				}
			}
		}
	}
	funcs := func(list []*doc.Func) {
		for _, f := range list {
			add("", f.Decl)
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs(p.Funcs)
	for _, typ := range p.Types {
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
		spec := typ.Decl.Specs[0].(*ast.TypeSpec)
		switch inner := spec.Type.(type) {
		case *ast.StructType:
			add("type ", spec.Name)
			for _, field := range inner.Fields.List {
				for _, n := range field.Names {
					if n.IsExported() {
						add("type "+typ.Name+" struct, "+n.Name+" ", field.Type)
					}
				}
			}
		default:
			add("type ", spec)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func oneLine(t *testing.T, files *token.FileSet, node any) string {
	t.Helper()
	var b bytes.Buffer
	if err := printer.Fprint(&b, files, node); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
