package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// healthTimeout is more than the node takes to answer, whatever the answer.
const healthTimeout = 5 * time.Second

type healthCommand struct {
	URL string `placeholder:"URL" help:"Where to ask; without it, /readyz at listen.admin of the configuration."`
}

// Help has examples.
func (healthCommand) Help() string {
	return `Exit code 0: ready; 6: not ready, or no answer.

Example, in a container file:
  HEALTHCHECK CMD ["carnet", "health"]`
}

// Run prints the node's answer.
func (c healthCommand) Run(s *shell) error {
	url := c.URL
	if url == "" {
		cfg, err := s.load()
		if err != nil {
			return err
		}
		url = "http://" + reachable(cfg.Listen.Admin) + "/readyz"
	}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, url, nil)
	if err != nil {
		return fault.New(fault.Invalid, "--url must be an http or https URL")
	}
	client := http.Client{Timeout: healthTimeout, Transport: &http.Transport{}} // no proxy of the environment
	res, err := client.Do(req)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "no answer", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxInput))
	if err != nil {
		return fault.Wrap(fault.Unavailable, "no whole answer", err)
	}
	fmt.Fprintln(s.Out, strings.TrimSpace(string(body)))
	if res.StatusCode != http.StatusOK {
		return fault.Newf(fault.Unavailable, "not ready (status %d)", res.StatusCode)
	}
	return nil
}

// reachable is the address at which this machine reaches a listener.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
