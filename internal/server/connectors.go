package server

import (
	"maps"
	"slices"

	"github.com/carnetproject/carnet/internal/connector"
)

// Connectors are clients of the configured connectors, by their aliases in lower case.
// They call nobody yet, and are the caller's to close.
func (c *Core) Connectors() (map[string]*connector.Client, error) {
	apis, err := c.Config.APIs()
	if err != nil {
		return nil, c.Config.Locate("connectors", err)
	}
	clients := map[string]*connector.Client{}
	for _, alias := range slices.Sorted(maps.Keys(apis.Connectors)) {
		clients[alias], err = connector.NewClient(apis.Connectors[alias], connector.Config{
			Secrets: c.Secrets, Guard: c.Config.Egress.Guard(),
		})
		if err != nil {
			return nil, c.Config.Locate("connectors", err)
		}
	}
	return clients, nil
}
