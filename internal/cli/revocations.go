package cli

import (
	"cmp"
	"context"
	"strconv"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/server"
)

type revokeList struct {
	listing
	Kind string `arg:"" optional:"" help:"Only of this kind: token, subject, app, issuer, device, credential or key."`
}

// revocationRow is a revocation as lists show it.
type revocationRow struct {
	ID      int64           `json:"id"`
	Kind    revocation.Kind `json:"kind"`
	Issuer  string          `json:"issuer,omitempty"`
	Name    string          `json:"name"`
	Before  string          `json:"issued_before,omitempty"`
	Expires string          `json:"expires"`
	Created string          `json:"created"`
	By      string          `json:"by,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

// listPage is how many revocations are read at a time.
const listPage = 1000

// Run prints the revocations, oldest first.
func (c revokeList) Run(s *shell) error {
	var kind revocation.Kind
	if c.Kind != "" {
		if err := kind.UnmarshalText([]byte(c.Kind)); err != nil {
			return err
		}
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		rows, cells := []revocationRow{}, [][]string{}
		for after := int64(0); ; {
			page, err := core.Revocations.Entries(ctx, kind, after, listPage)
			if err != nil {
				return err
			}
			for _, e := range page {
				row := revocationRow{
					e.ID, e.Kind, e.Issuer, e.Name, instant(e.Before), cmp.Or(instant(e.Expires), "never"), moment(e.Created), e.By, e.Reason,
				}
				rows, after = append(rows, row), e.ID
				cells = append(cells, []string{
					strconv.FormatInt(row.ID, 10), row.Kind.String(), row.Issuer, row.Name, row.Before, row.Expires, row.Created, row.By, row.Reason,
				})
			}
			if len(page) < listPage {
				return c.print(s.Out, rows, "ID KIND ISSUER NAME BEFORE EXPIRES CREATED BY REASON", cells)
			}
		}
	})
}

type revokeRemove struct {
	ID int64 `arg:"" help:"The revocation's id, as carnet revoke list shows it."`
}

// Run removes the revocation.
func (c revokeRemove) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		e, err := core.Revocations.Remove(ctx, c.ID)
		err = s.record(ctx, core, err, audit.Entry{
			Action: audit.RevocationRemove, Object: e.Name, Details: map[audit.Detail]string{audit.Kind: e.Kind.String(), audit.Issuer: e.Issuer},
		})
		if err != nil {
			return err
		}
		s.note("removed: %s %s; its tokens are good again, on running nodes within %s", e.Kind, e.Name, core.Config.PollInterval)
		return nil
	})
}
