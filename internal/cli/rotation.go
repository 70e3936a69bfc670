package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/server"
)

// secretPlanRow is a secret as a rotation would leave it.
type secretPlanRow struct {
	secretRow
	Signs bool `json:"signs"`
}

// dryRun prints the secrets that the app would have.
func (c appsRotate) dryRun(ctx context.Context, s *shell, core *server.Core) error {
	secrets, err := core.Apps.Rotation(ctx, c.ID, c.options())
	if err != nil {
		return err
	}
	a, _ := core.Apps.Find(c.ID)
	rows, cells := []secretPlanRow{}, [][]string{}
	for i, x := range secrets {
		signs := i == len(secrets)-1 && a.SessionAlgorithm.Symmetric()
		row := secretPlanRow{rowOfSecret(x), signs}
		row.ID = cmp.Or(x.ID, "new")
		rows = append(rows, row)
		cells = append(cells, []string{row.ID, row.NotBefore, row.NotAfter, map[bool]string{true: "yes"}[signs]})
	}
	s.note("nothing is changed; whoever shows an old secret after its end, or a session token that it signed, is refused")
	return listing{JSON: c.JSON}.print(s.Out, rows, "SECRET FROM UNTIL SIGNS", cells)
}

// dryRun prints the keys that would be made or changed.
func (c keysRotate) dryRun(ctx context.Context, s *shell, core *server.Core, o key.RotateOptions) error {
	changed, err := core.Keys.Rotation(ctx, c.Set, o)
	if err != nil {
		return err
	}
	now, cells := time.Now(), [][]string{}
	for _, k := range changed {
		row := rowOfKey(k, now)
		cells = append(cells, []string{row.ID, string(row.Algorithm), row.State, row.Active, row.Retire, row.Expire})
	}
	s.note("nothing is changed; verifiers must have fetched a new key when it is active, and refuse an old one's tokens when it expires")
	return listing{}.print(s.Out, nil, "KID ALG STATE ACTIVE RETIRE EXPIRE", cells)
}
