package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

type connectorsCommand struct {
	List  connectorsList  `cmd:"" help:"List the configured API connectors."`
	Check connectorsCheck `cmd:"" help:"Report what is wrong in the files of connectors, and what may not be meant so."`
	Run   connectorsRun   `cmd:"" help:"Call the API of a connector with an input."`

	Restrictions restrictionsCommand `cmd:"" help:"Look at who is shut out by restriction groups, and let them in."`
}

type connectorsList struct{ listing }

// Run prints the connectors.
func (c connectorsList) Run(s *shell) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	apis, err := cfg.APIs()
	if err != nil {
		return err
	}
	type row struct {
		Alias    string   `json:"alias"`
		Method   string   `json:"method"`
		Endpoint string   `json:"endpoint"`
		Timeout  string   `json:"timeout"`
		Secrets  []string `json:"secrets"`
	}
	rows, cells := []row{}, [][]string{}
	for _, alias := range slices.Sorted(maps.Keys(apis.Connectors)) {
		a := apis.Connectors[alias]
		r := row{a.Alias, a.Method, a.Endpoint, a.Timeout.String(), append([]string{}, a.Secrets()...)}
		rows = append(rows, r)
		cells = append(cells, []string{r.Alias, r.Method, r.Endpoint, r.Timeout, strconv.Itoa(len(r.Secrets))})
	}
	return c.print(s.Out, rows, "ALIAS METHOD ENDPOINT TIMEOUT SECRETS", cells)
}

type connectorsCheck struct{}

// Run prints ok, or fails with every mistake.
func (connectorsCheck) Run(s *shell) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	apis, err := cfg.APIs()
	if err != nil {
		return err
	}
	for _, w := range apis.Warnings {
		s.note("%s", w)
	}
	fmt.Fprintf(s.Out, "connectors: %d, restriction groups: %d: ok\n", len(apis.Connectors), len(apis.Groups))
	return nil
}

type connectorsRun struct {
	Alias  string `arg:"" help:"As carnet connectors list shows it."`
	Input  string `required:"" placeholder:"FILE" help:"The input, such as the context of a conversation: a file of one JSON object, or - for standard input."`
	Debug  bool   `help:"Print what was sent, with secrets by their names, and what was answered."`
	DryRun bool   `help:"Print what would be sent, and call nobody."`
}

// Help has examples.
func (connectorsRun) Help() string {
	return `Example:
  echo '{"token":"t"}' | carnet connectors run verify --input - --debug`
}

// Run prints the envelope of the execution, and fails if the call did. Restriction groups
// are not asked.
func (c connectorsRun) Run(s *shell) error {
	doc, err := c.read(s)
	if err != nil {
		return err
	}
	in, err := connector.ParseInput(doc)
	if err != nil {
		return fault.BadField("--input", "must be one JSON object, such as {\"token\":\"t\"}: "+err.Error())
	}
	if c.DryRun {
		return c.prepare(s, in)
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		clients, err := core.Connectors()
		if err != nil {
			return err
		}
		client, ok := clients[strings.ToLower(c.Alias)]
		if !ok {
			return c.unknown()
		}
		defer client.Close()
		r := client.Execute(ctx, connector.Call{Input: in, Body: true, Debug: c.Debug})
		if err := printJSON(s.Out, r); err != nil {
			return err
		}
		if r.Err != nil && r.Err.Code == connector.SecretError {
			s.note("carnet secrets check says why")
		}
		return outcomeOf(r)
	})
}

func (c connectorsRun) unknown() error {
	return fault.Newf(fault.NotFound, "there is no connector %q: carnet connectors list shows them", c.Alias)
}

func (c connectorsRun) prepare(s *shell, in connector.Input) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	apis, err := cfg.APIs()
	if err != nil {
		return err
	}
	a, ok := apis.Connectors[strings.ToLower(c.Alias)]
	if !ok {
		return c.unknown()
	}
	r, err := a.Prepare(in)
	if err != nil {
		return fault.New(fault.Invalid, string(connector.MappingError)+": "+err.Error())
	}
	return printJSON(s.Out, r)
}

func (c connectorsRun) read(s *shell) ([]byte, error) {
	if c.Input == "-" {
		text, err := s.readAll()
		return []byte(text), err
	}
	return readBounded(c.Input)
}

// readBounded reads a file of at most maxInput bytes.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "the input cannot be read", err)
	}
	defer file.Close()
	doc, err := io.ReadAll(io.LimitReader(file, maxInput+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, "the input cannot be read", err)
	case len(doc) > maxInput:
		return nil, fault.Newf(fault.TooLarge, "the input must be at most %d bytes", maxInput)
	}
	return doc, nil
}

// outcomeOf makes the exit code of a call: 6 if it may succeed later, 2 if the input is
// at fault, 3 otherwise.
func outcomeOf(r connector.Result) error {
	switch e := r.Err; {
	case e == nil:
		return nil
	case e.Temporary:
		return fault.New(fault.Unavailable, e.Error())
	case e.Code == connector.MappingError:
		return fault.New(fault.Invalid, e.Error())
	default:
		return fault.New(fault.Denied, e.Error())
	}
}
