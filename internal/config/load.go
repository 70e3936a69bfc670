package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/carnetproject/carnet/internal/fault"
)

// Options says where a configuration comes from.
type Options struct {
	Path     string            // the file; empty: none
	Environ  []string          // as os.Environ gives it
	Flags    map[string]string // path of a member → its text, as a variable has it
	Handlers map[string]string // what internal:// may name → the door it needs, or ""; nil: anything
}

// Load reads the configuration: flags outrank environment, that the file, that
// the defaults. The error joins a [Problem] for every mistake there is.
func Load(o Options) (*Config, error) {
	var data []byte
	if o.Path != "" {
		var err error
		if data, err = readFile(o.Path); err != nil {
			return nil, err
		}
	}
	return load(data, o)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.NotFound, "there is no configuration file %s", path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the configuration file cannot be read", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the configuration file cannot be read", err)
	}
	return data, nil
}

func load(data []byte, o Options) (*Config, error) {
	c := Default()
	r := &reader{provenance: provenance{o.Path, map[string]*token.Position{}, map[string]string{}}}
	r.read(data, c)
	r.readEnv(o.Environ, c)
	r.readFlags(o.Flags, c)
	c.complete()
	for i, path := range c.Connectors {
		if !filepath.IsAbs(path) {
			c.Connectors[i] = filepath.Join(filepath.Dir(o.Path), path)
		}
	}
	for _, b := range c.Chat.Bots {
		for _, path := range []*string{&b.File, &b.EncryptionKey} {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(filepath.Dir(o.Path), *path)
			}
		}
	}
	c.from = r.provenance
	misread := len(r.problems)
	for _, err := range flatten(errors.Join(errors.Join(append(c.readBots(), c.readBotKeys()...)...), c.Validate(o.Handlers))) {
		r.add(fault.Public(err), r.problems[:misread])
	}
	if len(r.problems) > 0 {
		return nil, joinProblems(r.problems)
	}
	return c, nil
}

// add places a mistake that Validate found. One about a member that could not
// be read whole is left out: its value is not what the operator wrote.
func (r *reader) add(err fault.Error, misread []*Problem) {
	for _, p := range misread {
		if p.Path == "" && p.Source != r.file {
			continue // an unknown variable or flag
		}
		if within(p.Path, err.Field) || within(err.Field, p.Path) {
			return
		}
	}
	r.problems = append(r.problems, r.problem(err.Field, err.Msg))
}

// within tells whether path is at or below top. Everything is below the file.
func within(path, top string) bool {
	rest, ok := strings.CutPrefix(path, top)
	return ok && (top == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

func leavesOf(c *Config) []leaf { return leaves("", reflect.ValueOf(c).Elem()) }
