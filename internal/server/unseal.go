package server

import (
	"context"
	"fmt"

	"github.com/carnetproject/carnet/internal/consumer"
)

// Unseals is nil if the data master key opens what it has sealed in the store: secrets of
// apps, one of a credential and one conversation's context. That the signing one opens the
// keys that sign is known since the core runs. Call it in [Core.Run].
func (c *Core) Unseals(ctx context.Context) error {
	if _, _, err := c.Consumers.Credentials(ctx, "", consumer.Page{Size: 1}); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	for _, a := range c.Apps.All() {
		if err := c.Apps.Unseal(a); err != nil {
			return err
		}
	}
	return c.store.TryContext(ctx, c.sealed)
}
