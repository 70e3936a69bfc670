package connector

import (
	"context"
	"fmt"
)

// Revision is that of the document, and of the versions of the secrets that the last call
// was made with: it changes when one is rotated. It is as confidential as they are.
func (c *Client) Revision() string { return *c.seen.Load() }

// Learn finds what the first call needs, so that [Client.Revision] does not change with
// it. What cannot be had is for the calls to say.
func (c *Client) Learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.certificate != "" {
		_, _ = c.cfg.Secrets.Certificate(ctx, string(c.certificate))
	}
	_, _ = c.resolve(ctx)
}

// note keeps the versions that the secrets have now.
func (c *Client) note() {
	versions, known := make([]string, len(c.secrets)), false
	for i, r := range c.secrets {
		versions[i] = c.cfg.Secrets.Version(string(r))
		known = known || versions[i] != ""
	}
	now := c.Connector.Revision()
	if known {
		now = fmt.Sprintf("%s %q", now, versions)
	}
	if was := c.seen.Load(); was == nil || *was != now {
		c.seen.Store(&now)
	}
}
