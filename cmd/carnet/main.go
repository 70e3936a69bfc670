// Command carnet issues tokens, admits requests that carry them, and lets an
// operator look at both. Try: carnet --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/carnetproject/carnet/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ()})
	stop()
	os.Exit(code)
}
