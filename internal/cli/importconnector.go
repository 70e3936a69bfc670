package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
)

type importConnector struct {
	importFile
}

// importFile is what the imports of documents have in common.
type importFile struct {
	File   string `arg:"" help:"The document, as JSON; - is standard input."`
	Force  bool   `help:"Replace a file that is there."`
	DryRun bool   `help:"Check, and write nothing."`
}

// Help has examples.
func (importConnector) Help() string {
	return `Copies the document, or each of a list of them, into the first directory that connectors
names in the configuration, or into one of its own beside the configuration file, which then
names it. A running node has the connector about a second later.

Members that mean nothing are told, and left out.

Example:
  carnet import connector baas.json --dry-run`
}

// document is what is imported, and where it goes.
type document struct {
	what string // "connector SecureSession"
	path string
	text []byte
}

// Run checks the documents together with all that is there, and writes them.
func (c importConnector) Run(s *shell) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	text, err := c.read(s)
	if err != nil {
		return err
	}
	dir, named := connectorDir(s, cfg)
	docs, err := readConnectors(s, cfg, text, dir)
	if err != nil {
		return err
	}
	if err := c.free(docs); err != nil {
		return err
	}
	if err := checkTogether(s, cfg, docs); err != nil {
		return err
	}
	for _, d := range docs {
		if err := c.write(s, d); err != nil {
			return err
		}
	}
	if named || c.DryRun {
		return nil
	}
	return nameDirectory(s, cfg, dir)
}

// read reads the file, whose size is bounded.
func (c importFile) read(s *shell) ([]byte, error) {
	if c.File == "-" {
		text, err := s.readAll()
		return []byte(text), err
	}
	return readBounded(c.File)
}

// free wants that nothing is replaced, unless that is meant.
func (c importFile) free(docs []document) error {
	var errs []error
	for _, d := range docs {
		if _, err := os.Lstat(d.path); err == nil && !c.Force {
			errs = append(errs, fault.Newf(fault.Conflict, "%s is there: --force replaces it", d.path))
		}
	}
	return errors.Join(errs...)
}

// write says where the document goes, and puts it there.
func (c importFile) write(s *shell, d document) error {
	if !c.DryRun {
		if err := replaceFile(d.path, d.text); err != nil {
			return fault.Wrap(fault.Invalid, d.path+" cannot be written", err)
		}
	}
	_, err := fmt.Fprintf(s.Out, "%s: %s\n", d.what, d.path)
	return err
}

// connectorDir is the directory for new connectors, and whether the configuration names it.
func connectorDir(s *shell, cfg *config.Config) (dir string, named bool) {
	for _, path := range cfg.Connectors {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path, true
		}
	}
	return filepath.Join(filepath.Dir(s.configFile()), "connectors"), false
}

// readConnectors takes a document, or each of a list.
func readConnectors(s *shell, cfg *config.Config, text []byte, dir string) ([]document, error) {
	list := []json.RawMessage{text}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fault.New(fault.Invalid, "the file is not JSON")
		}
	}
	var docs []document
	var errs []error
	for i, one := range list {
		at := ""
		if len(list) > 1 {
			at = fmt.Sprintf("/%d", i)
		}
		d, err := readConnector(s, cfg, one, at)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.path = filepath.Join(dir, d.path)
		if slices.ContainsFunc(docs, func(o document) bool { return o.path == d.path }) {
			errs = append(errs, fault.Newf(fault.Invalid, "%s: the %s stands twice in the file", at, d.what))
		}
		docs = append(docs, d)
	}
	return docs, errors.Join(errs...)
}

// readConnector takes a connector, a restriction group, which is what has steps, or an
// auth profile, whose type is oauth2. Its path is the name of a file.
func readConnector(s *shell, cfg *config.Config, text []byte, at string) (d document, err error) {
	var has struct {
		Steps json.RawMessage `json:"steps"`
		Type  any             `json:"type"`
	}
	opts := cfg.ConnectorOptions()
	var warnings []connector.Warning
	switch read := json.Unmarshal(text, &has) == nil; {
	case read && has.Steps != nil:
		var g *connector.Group
		if g, warnings, err = connector.ParseGroup(text, opts); err == nil {
			d.what, d.path = "restriction group "+g.ID, g.ID
		}
	case read && has.Type == "oauth2":
		var p *authprofile.Profile
		if p, err = authprofile.Parse(text, authprofile.Options{Organization: cfg.Organization, Insecure: opts.Insecure}); err == nil {
			d.what, d.path = "auth profile "+p.Alias, p.Alias
		}
	default:
		var c *connector.Connector
		if c, warnings, err = connector.Parse(text, opts); err == nil {
			d.what, d.path = "connector "+c.Alias, c.Alias
		}
	}
	if err != nil {
		return d, pointed(at, err)
	}
	if d.path, err = fileName(d.path); err != nil {
		return d, err
	}
	for _, w := range warnings {
		msg := w.Msg
		if w.Unknown {
			msg = "is not known, and left out"
		}
		s.note("%s%s %s", at, w.Pointer, msg)
	}
	d.text, err = connector.Without(text, warnings)
	return d, err
}

// pointed says before what is wrong where it is, by JSON pointers.
func pointed(at string, err error) error {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the join itself is meant
		list = joined.Unwrap()
	}
	var errs []error
	for _, err := range list {
		public := fault.Public(err)
		public.Msg = cmp.Or(at+public.Field, "the document") + " " + public.Msg
		errs = append(errs, fault.New(public.Kind, public.Msg))
	}
	return errors.Join(errs...)
}

// fileName is a name for a document's file: in lower case, since aliases are the same in
// any.
func fileName(name string) (string, error) {
	name = strings.ToLower(name)
	if name == "" || len(name) > 128 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return "", fault.Newf(fault.Invalid, "%q can name no file: it must be 1 to 128 letters, digits, _ or -", name)
	}
	return name + ".json", nil
}

// checkTogether loads the configuration with the documents, and without those that they
// replace.
func checkTogether(s *shell, cfg *config.Config, docs []document) error {
	dir, err := os.MkdirTemp("", "carnet-import-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	files := slices.DeleteFunc(cfg.ConnectorFiles(), func(path string) bool {
		return slices.ContainsFunc(docs, func(d document) bool { return d.path == path })
	})
	for i := range files { // a flag's paths lead from the configuration file again
		if files[i], err = filepath.Abs(files[i]); err != nil {
			return err
		}
	}
	for _, d := range docs {
		path := filepath.Join(dir, filepath.Base(d.path))
		if err := os.WriteFile(path, d.text, 0o600); err != nil {
			return err
		}
		files = append(files, path)
	}
	_, err = config.Load(config.Options{
		Path: s.configFile(), Environ: s.Environ, Handlers: handlers(), Flags: s.flags("connectors", strings.Join(files, ",")),
	})
	if err == nil {
		return nil
	}
	return fault.New(fault.KindOf(err), strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
}

// nameDirectory has the configuration file name the directory of connectors, if that can
// be done without a change of anything else; if not, it says what to write.
func nameDirectory(s *shell, cfg *config.Config, dir string) error {
	path := s.configFile()
	if path == "" {
		path = configName
	}
	const line = "connectors: [connectors]\n"
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(cfg.Connectors) > 0 {
		s.note("add %s to connectors in %s", dir, path)
		return nil
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	if !loadsWith(s, path, append(old, line...)) {
		s.note("add to %s: %s", path, strings.TrimSpace(line))
		return nil
	}
	if err := replaceFile(path, append(old, line...)); err != nil {
		return fault.Wrap(fault.Invalid, path+" cannot be written", err)
	}
	s.note("%s: %s", path, strings.TrimSpace(line))
	return nil
}

// loadsWith tells whether a text would be a configuration that names connectors.
func loadsWith(s *shell, path string, text []byte) bool {
	trial, err := os.CreateTemp(filepath.Dir(path), ".carnet-*.yaml")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(trial.Name()) }()
	_, err = trial.Write(text)
	if errors.Join(err, trial.Close()) != nil {
		return false
	}
	cfg, err := config.Load(config.Options{Path: trial.Name(), Environ: s.Environ, Handlers: handlers(), Flags: s.flags()})
	return err == nil && len(cfg.Connectors) == 1
}

// replaceFile makes a file what it is to be, whole or not at all. One that is there keeps
// its mode; a new one is for its owner alone.
func replaceFile(path string, text []byte) error {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone once it was renamed
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
