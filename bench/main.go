// Command bench measures Carnet beside references in the same run.
//
// Each figure stands beside one of a reference that does the same work with nothing
// around it, measured in alternation, since machines are noisy and ratios are not. It
// prints a table and writes bench/latest.json. A missed target is printed as such and
// does not fail the run: it is a figure, not a test.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"text/tabwriter"
)

// Result is one figure.
type Result struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Reference float64 `json:"reference"` // of the same unit; 0: the target is absolute
	Ratio     float64 `json:"ratio"`     // value / reference
	Target    string  `json:"target"`
	OK        bool    `json:"ok"`
}

// group measures related figures.
type group struct {
	names []string // what -only selects by
	run   func(context.Context, func(Result)) error
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == childFlag {
		serveChild(os.Args[2])
		return
	}
	only := flag.String("only", "", "regular expression of the names to measure; empty: all")
	out := flag.String("out", "bench/latest.json", "where the figures go")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, out string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	var results []Result
	for _, g := range []group{cryptoGroup(), cacheGroup(), limiterGroup(), sharedGroup(), gatewayGroup(), rivalsGroup(), millionGroup(), legacyGroup(), postgresLegacyGroup(), tokenGroup(), signInGroup(), registerGroup(), appendGroup(), postgresGroup(), gateGroup(), burstGroup(), callsGroup(), socketGroup(), webhookGroup(), clusterGroup(), restartGroup()} {
		if !slices.ContainsFunc(g.names, pattern.MatchString) {
			continue
		}
		err := g.run(ctx, func(r Result) {
			if pattern.MatchString(r.Name) {
				results = append(results, r)
				fmt.Fprintf(os.Stderr, "%-22s done\n", r.Name)
			}
		})
		if err != nil {
			return fmt.Errorf("%s: %w", g.names[0], err)
		}
	}
	if len(results) == 0 {
		return fmt.Errorf("-only %q selects nothing", only)
	}
	printTable(results)
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func printTable(results []Result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "name\tvalue\treference\tunit\tratio\ttarget\t\t")
	for _, r := range results {
		verdict, reference, ratio := "ok", "–", "–"
		if !r.OK {
			verdict = "MISSED"
		}
		if r.Reference != 0 {
			reference, ratio = fmt.Sprintf("%.1f", r.Reference), fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%s\t%s\t%s\t%s\t%s\t\n", r.Name, r.Value, reference, r.Unit, ratio, r.Target, verdict)
	}
	_ = w.Flush()
}

// atMost is a figure whose ratio may not exceed limit.
func atMost(name, unit string, value, reference, limit float64) Result {
	ratio := value / reference
	return Result{name, value, unit, reference, ratio, fmt.Sprintf("≤ %.2f×", limit), ratio <= limit}
}

// atLeast is a figure whose ratio may not fall under limit.
func atLeast(name, unit string, value, reference, limit float64) Result {
	ratio := value / reference
	return Result{name, value, unit, reference, ratio, fmt.Sprintf("≥ %.2f×", limit), ratio >= limit}
}

// beside is a figure without a target: the reference does less, or is there for scale.
func beside(name, unit string, value, reference float64) Result {
	return Result{name, value, unit, reference, value / reference, "–", true}
}

// median of a few rounds, which one slow round does not move.
func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
