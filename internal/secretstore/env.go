package secretstore

import (
	"strings"
	"sync"

	"github.com/carnetproject/carnet/internal/fault"
)

// EnvPrefix starts the names of the variables that hold secrets.
const EnvPrefix = "CARNET_SECRET_"

// environment finds secrets in variables CARNET_SECRET_{ORGANIZATION}__{NAME}.
type environment struct {
	values map[string]string

	mu    *sync.Mutex
	owner map[string]SRN // who asked for a variable first
}

func newEnvironment(environ []string) environment {
	e := environment{values: map[string]string{}, mu: &sync.Mutex{}, owner: map[string]SRN{}}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, EnvPrefix) {
			e.values[name] = value
		}
	}
	return e
}

// find refuses a name that another name's variable would answer for, such as
// a-b after a_b: one of the two would silently get the wrong secret.
func (e environment) find(n SRN) (value []byte, found bool, err error) {
	v := variable(n)
	s, found := e.values[v]
	if !found {
		return nil, false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if first, taken := e.owner[v]; taken && first != n {
		return nil, false, fault.Newf(fault.Conflict, "%s and %s share the variable %s: rename one", n, first, v)
	}
	e.owner[v] = n
	return []byte(s), true, nil
}

// variable is where the environment holds n.
func variable(n SRN) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(n.Organization+"__"+n.Resource, "-", "_"))
}
