// Command build makes web/dist of the TypeScript in web/sdk and web/demo. Run it from
// the module's root, without Node: go run ./web/build
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	if err := run("web"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run builds root's dist anew.
func run(root string) error {
	files, err := build(root)
	if err != nil {
		return err
	}
	dist := filepath.Join(root, "dist")
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(dist, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// element is what the demo imports as any page does, by its address.
const element = "/sdk/carnet-chat.js"

// bundles are made one by one, since a build has one format.
var bundles = []api.BuildOptions{
	{
		Format: api.FormatESModule,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "sdk/src/index.ts", OutputPath: "sdk/carnet"},
			{InputPath: "sdk/src/element.ts", OutputPath: "sdk/carnet-chat"},
			{InputPath: "demo/demo.ts", OutputPath: "demo/demo"},
			{InputPath: "demo/demo.css", OutputPath: "demo/demo"},
			{InputPath: "demo/index.html", OutputPath: "demo/index"},
			{InputPath: "demo/icon.svg", OutputPath: "demo/icon"},
		},
	},
	{ // for a script tag without type=module
		Format: api.FormatIIFE,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "sdk/src/global.ts", OutputPath: "sdk/carnet.global"},
		},
	},
}

// build returns the files of dist by their names.
func build(root string) (map[string][]byte, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	dist := filepath.Join(abs, "dist")
	files := map[string][]byte{}
	for _, o := range bundles {
		o.AbsWorkingDir, o.Outdir = abs, dist
		o.Bundle = true
		o.Target = api.ES2022
		o.TsconfigRaw = "{}" // tsconfig.json is for checking alone
		o.MinifyWhitespace, o.MinifyIdentifiers, o.MinifySyntax = true, true, true
		o.Charset = api.CharsetUTF8
		o.LegalComments = api.LegalCommentsNone
		o.Loader = map[string]api.Loader{".html": api.LoaderCopy, ".svg": api.LoaderCopy}
		o.External = []string{element}
		result := api.Build(o)
		if len(result.Errors) > 0 {
			return nil, errors.Join(messages(result.Errors)...)
		}
		for _, f := range result.OutputFiles {
			name, err := filepath.Rel(dist, f.Path)
			if err != nil {
				return nil, err
			}
			files[filepath.ToSlash(name)] = f.Contents
		}
	}
	return files, nil
}

func messages(all []api.Message) []error {
	errs := make([]error, len(all))
	for i, m := range all {
		errs[i] = errors.New(m.Text)
		if l := m.Location; l != nil {
			errs[i] = fmt.Errorf("%s:%d:%d: %s", l.File, l.Line, l.Column, m.Text)
		}
	}
	return errs
}
