//go:build linux

package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a terminal: what a person types into, and what a
// command reads.
func openTerminal(t *testing.T) (person, command *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Close() })
	return person, command
}

// onPrompt types a line when it is asked for one, and looks whether it would show.
type onPrompt struct {
	bytes.Buffer
	t        *testing.T
	person   *os.File
	terminal *os.File
	line     string
	asked    int
}

func (p *onPrompt) Write(b []byte) (int, error) {
	if strings.HasSuffix(string(b), "standard input):\n") {
		p.asked++
		go func() { _, _ = p.person.WriteString(p.line) }()
	}
	if echoes(p.t, p.terminal) && p.asked > 0 {
		p.t.Error("the terminal shows what is typed")
	}
	return p.Buffer.Write(b)
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return now.Lflag&unix.ECHO != 0
}

func TestTypedSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	person, terminal := openTerminal(t)
	data, out := t.TempDir(), bytes.Buffer{}
	std := IO{In: terminal, Out: &out, Environ: []string{"CARNET_DATA=" + data}}
	errOut := &onPrompt{t: t, person: person, terminal: terminal, line: "s3cret typed\n"}
	std.Err = errOut
	if code := Run(t.Context(), []string{"secrets", "put", "key"}, std); code != 0 || errOut.asked != 1 {
		t.Fatalf("exit code %d, asked %d times:\n%s", code, errOut.asked, errOut)
	}
	if got := out.String(); got != "srn:vault::default:secret:key/1\n" {
		t.Errorf("printed %q", got)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal stays silent after the command")
	}
	if strings.Contains(errOut.String()+out.String(), "s3cret") {
		t.Error("the command shows the value")
	}
}
