package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// maxInput bounds what a command reads from standard input.
const maxInput = 1 << 20

// listing is the flag of commands that print a list.
type listing struct {
	JSON bool `help:"Print JSON instead of a table."`
}

// print writes rows as a JSON list, or as a table with the given columns.
func (l listing) print(w io.Writer, rows any, columns string, cells [][]string) error {
	if l.JSON {
		return printJSON(w, rows)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(columns, " ", "\t"))
	for _, row := range cells {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// moment is t as tables and JSON show it, "" for no time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// readAll reads standard input to its end.
func (s *shell) readAll() (string, error) {
	data, err := io.ReadAll(io.LimitReader(s.in, maxInput+1))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	if len(data) > maxInput {
		return "", fault.Newf(fault.TooLarge, "standard input must be at most %d bytes", maxInput)
	}
	return string(data), nil
}

// readSecret asks for one line on standard input. A terminal does not show what is typed.
func (s *shell) readSecret(what string) (secret.Bytes, error) {
	defer s.hush()()
	s.note("%s (one line on standard input):", what)
	line, err := s.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return secret.Bytes{}, fault.Newf(fault.TooLarge, "the %s must be at most %d bytes", what, s.in.Size())
	case err != nil && len(line) == 0:
		return secret.Bytes{}, fault.Newf(fault.Invalid, "the %s must be one line on standard input", what)
	}
	return secret.FromString(strings.TrimRight(string(line), "\r\n")), nil
}

// tokenFrom is the token of an argument, or of standard input without one.
func (s *shell) tokenFrom(arg string) (string, error) {
	if arg != "" && arg != "-" {
		return arg, nil
	}
	text, err := s.readAll()
	if err != nil {
		return "", err
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", fault.New(fault.Invalid, "give a token as argument or on standard input")
	}
	return text, nil
}
