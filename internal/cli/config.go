package cli

import (
	"fmt"

	"github.com/carnetproject/carnet/internal/config"
)

type configCommand struct {
	Check  configCheck  `cmd:"" help:"Report every mistake in the configuration, with file and line."`
	Print  configPrint  `cmd:"" help:"Print the effective configuration without secrets."`
	Schema configSchema `cmd:"" help:"Print the JSON Schema of the configuration file."`
}

type configCheck struct{}

// Help has examples.
func (configCheck) Help() string {
	return `Example:
  carnet config check --config /etc/carnet/carnet.yaml`
}

// Run prints ok, or fails with every mistake.
func (configCheck) Run(s *shell) error {
	if _, err := s.load(); err != nil {
		return err
	}
	file := s.configFile()
	if file == "" {
		file = "no file, defaults"
	}
	fmt.Fprintln(s.Out, file+": ok")
	return nil
}

type configPrint struct {
	Sources bool `help:"Say behind each value who set it."`
}

// Help has examples.
func (configPrint) Help() string {
	return `Flags outrank CARNET_… variables, those the file, that the defaults. Secrets are shown by name only.

Example:
  carnet config print --sources`
}

// Run prints YAML.
func (c configPrint) Run(s *shell) error {
	effective, err := s.load()
	if err != nil {
		return err
	}
	return effective.Print(s.Out, c.Sources)
}

type configSchema struct{}

// Help has examples.
func (configSchema) Help() string {
	return `Example, for editors that know yaml-language-server:
  carnet config schema > carnet.schema.json
  # yaml-language-server: $schema=carnet.schema.json   (first line of carnet.yaml)`
}

// Run prints JSON.
func (configSchema) Run(s *shell) error {
	_, err := s.Out.Write(config.Schema())
	return err
}
