// Package cli is the command line of Carnet. A command writes what it was asked
// for to standard output and everything else to standard error, so that its
// output can be piped. Secrets are read from standard input, never from
// arguments, which other users of a machine can see.
package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
)

// IO is what a command sees of the process around it.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
}

// configName is what a configuration file is called where none is named.
const configName = "carnet.yaml"

// commands is the grammar of the command line.
type commands struct {
	File string `name:"config" placeholder:"FILE" help:"Configuration file; $$CARNET_CONFIG, else carnet.yaml here or in the data directory."`
	Data string `placeholder:"DIR" help:"Directory of the node's files, over data in the configuration."`

	Serve       serveCommand       `cmd:"" help:"Run a node."`
	Config      configCommand      `cmd:"" help:"Look at the configuration."`
	Token       tokenCommand       `cmd:"" help:"Look into tokens, make and verify them."`
	Keys        keysCommand        `cmd:"" help:"Look at and change signing keys."`
	Apps        appsCommand        `cmd:"" help:"Look at and change applications."`
	Users       usersCommand       `cmd:"" help:"Look at and change people who sign in."`
	Revoke      revokeCommand      `cmd:"" help:"Take tokens back before they expire."`
	Consumers   consumersCommand   `cmd:"" help:"Look at and change the gateway's consumers."`
	Credentials credentialsCommand `cmd:"" help:"Look at and import the credentials of consumers."`
	Connectors  connectorsCommand  `cmd:"" help:"Look at and call API connectors."`
	Turns       turnsCommand       `cmd:"" help:"Look at and retry what bots did not answer."`
	Secrets     secretsCommand     `cmd:"" help:"Look at and change secrets."`
	Store       storeCommand       `cmd:"" help:"Look at, migrate and copy the store."`
	Audit       auditCommand       `cmd:"" help:"Look at who changed what, and what happened at the doors."`
	Import      importCommand      `cmd:"" help:"Take over what other products have."`
	Export      exportCommand      `cmd:"" help:"Write what the gateway has for another one."`
	Diff        diffCommand        `cmd:"" help:"Show what an import would change."`
	Health      healthCommand      `cmd:"" help:"Ask the node whether it is ready."`
	SDK         sdkCommand         `cmd:"" name:"sdk" help:"Look at the web SDK that this program serves."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

const description = `Carnet issues signed tokens and admits requests that carry them.

Exit codes: 0 done, 1 a fault of Carnet, 2 wrong input, 3 refused, 4 not found, 5 conflict, 6 try again later.`

// shell is what commands work with.
type shell struct {
	IO
	in      *bufio.Reader   // the one reader of In: master keys may stand before what a command reads
	ctx     context.Context //nolint:containedctx // one command's, for as long as it runs
	file    string
	data    string
	command string // its name, such as "apps rotate"
}

// Run runs one command and returns the process's exit code. When ctx ends, the
// command stops as soon as it can.
func Run(ctx context.Context, args []string, std IO) int {
	var c commands
	exit := -1 // set once help was printed
	parser, err := kong.New(&c, append(readers(),
		kong.Name("carnet"), kong.Description(description), kong.Writers(std.Out, std.Err),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)...)
	if err != nil {
		return report(std.Err, fmt.Errorf("command grammar: %w", err))
	}
	command, err := parser.Parse(args)
	switch {
	case exit >= 0:
		return exit
	case err != nil:
		return report(std.Err, fault.New(fault.Invalid, err.Error()+"\ncarnet: try carnet --help"))
	}
	sh := &shell{IO: std, in: bufio.NewReader(std.In), ctx: ctx, file: c.File, data: c.Data, command: nameOf(command)}
	return report(std.Err, command.Run(sh))
}

// nameOf is the name of a command without its arguments.
func nameOf(c *kong.Context) string {
	name, _, _ := strings.Cut(c.Command(), " <")
	return name
}

// report prints err, each line for itself, and returns its exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, "carnet: ") {
			line = "carnet: " + line
		}
		fmt.Fprintln(w, line)
	}
	return fault.KindOf(err).ExitCode()
}

// note tells the person at the terminal something that is not output.
func (s *shell) note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// load reads the configuration.
func (s *shell) load() (*config.Config, error) {
	return config.Load(config.Options{Path: s.configFile(), Environ: s.Environ, Handlers: handlers(), Flags: s.flags()})
}

// flags are what the command line says over the configuration, with further members and
// their values.
func (s *shell) flags(more ...string) map[string]string {
	flags := map[string]string{}
	if s.data != "" {
		flags["data"] = s.data
	}
	for i := 0; i < len(more); i += 2 {
		flags[more[i]] = more[i+1]
	}
	return flags
}

// configFile is the file that --config or the environment names, or the first
// carnet.yaml there is in the working directory and the data directory.
func (s *shell) configFile() string {
	if file := cmp.Or(s.file, s.variable("CARNET_CONFIG")); file != "" {
		return file
	}
	for _, dir := range []string{".", s.dataDir()} {
		file := filepath.Join(dir, configName)
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			return file
		}
	}
	return ""
}

// dataDir is the data directory as far as it is known without a file.
func (s *shell) dataDir() string {
	return cmp.Or(s.data, s.variable("CARNET_DATA"), config.Default().Data)
}

func (s *shell) variable(name string) string {
	value, _ := s.lookup(name)
	return value
}

// lookup tells an empty variable from none.
func (s *shell) lookup(name string) (value string, ok bool) {
	for _, kv := range s.Environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
