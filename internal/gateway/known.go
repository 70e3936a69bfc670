package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/carnetproject/carnet/internal/consumer"
)

// known requires the credentials and consumers that j names. What the configuration
// does not have, a registry may have, now or later.
func (g *Gateway) known(j *JWT, set *consumer.Set) error {
	for _, p := range j.IssuerPrefixes {
		if set.Find(p) == nil && g.ring.registry != nil {
			continue
		}
		if err := set.CheckPrefix(p); err != nil {
			return err
		}
	}
	if j.Anonymous != "" && set.Consumer(j.Anonymous) == nil && g.ring.registry == nil {
		return fmt.Errorf("jwt.anonymous: there is no consumer %q", j.Anonymous)
	}
	return nil
}

// warn tells the operator what the configuration names and neither it nor the
// registry has at this moment.
func (g *Gateway) warn(ctx context.Context, c *Config) {
	if g.ring.registry == nil {
		return // then it is an error
	}
	told := map[string]bool{}
	tell := func(text, name string) {
		if !told[text+name] {
			told[text+name] = true
			g.log.LogAttrs(ctx, slog.LevelWarn, text, slog.String("name", name))
		}
	}
	for _, j := range c.jwts() {
		for _, p := range j.IssuerPrefixes {
			switch cred, err := g.ring.credential(ctx, p); {
			case err != nil:
			case cred == nil:
				tell("no credential for issuer prefix", p)
			case cred.Symmetric():
				tell("credential for issuer prefix is symmetric: it verifies no device", p)
			}
		}
		if j.Anonymous == "" {
			continue
		}
		if who, err := g.ring.consumer(ctx, j.Anonymous); err == nil && who == nil {
			tell("no such consumer: anonymous callers get 500", j.Anonymous)
		}
	}
}

// IssuerPrefixes are those of all jwt plugins of c.
func (c *Config) IssuerPrefixes() []string {
	var all []string
	for _, j := range c.jwts() {
		all = append(all, j.IssuerPrefixes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// jwts are all jwt plugins of c.
func (c *Config) jwts() []*JWT {
	var list []*JWT
	add := func(p *Plugins) {
		if p.JWT != nil {
			list = append(list, p.JWT)
		}
	}
	add(&c.Plugins)
	for i := range c.Overrides {
		add(&c.Overrides[i].Plugins)
	}
	for i := range c.Services {
		add(&c.Services[i].Plugins)
		for j := range c.Services[i].Routes {
			add(&c.Services[i].Routes[j].Plugins)
		}
	}
	return list
}
