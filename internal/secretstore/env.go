package secretstore

import (
	"context"
	"strings"
	"sync"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// EnvPrefix starts the names of the variables that hold secrets.
const EnvPrefix = "CARNET_SECRET_"

// environment finds secrets in variables CARNET_SECRET_{ORGANIZATION}__{NAME}. They
// have no versions, and stay what they were when the process began.
type environment struct {
	values map[string]string

	mu    sync.Mutex
	owner map[string]string // which name asked for a variable first
}

func newEnvironment(environ []string) *environment {
	e := &environment{values: map[string]string{}, owner: map[string]string{}}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			e.values[name] = value
		}
	}
	return e
}

// find refuses a name that another name's variable would answer for, such as
// a-b after a_b: one of the two would silently get the wrong secret.
func (e *environment) find(_ context.Context, n secret.SRN) (v value, found bool, err error) {
	name := variable(n)
	s, found := e.values[name]
	if !found || n.Qualifier != "" {
		return value{}, false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if first, taken := e.owner[name]; taken && first != n.Resource {
		return value{}, false, fault.Newf(fault.Conflict, "%s and %s share the variable %s: rename one", first, n.Resource, name)
	}
	e.owner[name] = n.Resource
	return value{text: []byte(s)}, true, nil
}

func (e *environment) place(n secret.SRN) string { return "in the environment as " + variable(n) }

// variable is where the environment holds n.
func variable(n secret.SRN) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(n.Organization+"__"+n.Resource, "-", "_"))
}
