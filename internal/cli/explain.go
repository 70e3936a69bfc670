package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/server"
)

type tokenExplain struct {
	Token  string `arg:"" optional:"" help:"The token; without it, standard input."`
	Route  string `xor:"target" required:"" placeholder:"NAME" help:"A route of the configuration, or …"`
	Path   string `xor:"target" required:"" placeholder:"/PATH" help:"… the path of a request."`
	Method string `help:"Of the request; GET, or the route's first."`
	Host   string `help:"Of the request; localhost, or the route's first."`
}

// Help has examples.
func (tokenExplain) Help() string {
	return `Runs the checks of the gateway, up to the first that refuses, and sends nothing.
Exit code 0: the request would be admitted; 3: it would be refused.

Examples:
  carnet token explain --path /demo/hello "$TOKEN"
  carnet token explain --route register < token.txt`
}

// Run prints one line a check.
func (c tokenExplain) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		token, err := s.tokenFrom(c.Token)
		if err != nil {
			return err
		}
		method, host, path, err := c.request(core.Config.Gateway)
		if err != nil {
			return err
		}
		g, err := core.Gateway(ctx)
		if err != nil {
			return err
		}
		return s.printFindings(g.Explain(ctx, method, host, path, token))
	})
}

// request is one that the route matches first, unless flags say otherwise.
func (c tokenExplain) request(cfg gateway.Config) (method, host, path string, err error) {
	method, host, path = http.MethodGet, "localhost", c.Path
	if c.Route != "" {
		r, err := findRoute(cfg, c.Route)
		if err != nil {
			return "", "", "", err
		}
		method, host, path = first(r.Methods, method), first(r.Hosts, host), first(r.Paths, "/")
		host = strings.Replace(host, "*", "any", 1)
	}
	if c.Method != "" {
		method = c.Method
	}
	if c.Host != "" {
		host = c.Host
	}
	return method, host, path, nil
}

func findRoute(cfg gateway.Config, name string) (*gateway.Route, error) {
	for _, s := range cfg.Services {
		for i := range s.Routes {
			if s.Routes[i].Name == name {
				return &s.Routes[i], nil
			}
		}
	}
	return nil, fault.Newf(fault.NotFound, "there is no route %s", name)
}

func first(list []string, otherwise string) string {
	if len(list) == 0 {
		return otherwise
	}
	return list[0]
}

// printFindings fails if a check does.
func (s *shell) printFindings(findings []gateway.Finding) error {
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	var refusedBy string
	for _, f := range findings {
		word := "pass"
		if !f.OK {
			word, refusedBy = "FAIL", f.Check
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", word, f.Check, f.Detail)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if refusedBy != "" {
		return fault.Newf(fault.Denied, "refused by %s", refusedBy)
	}
	return nil
}
