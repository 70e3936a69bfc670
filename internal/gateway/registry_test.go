package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// directory is a registry that a test changes.
type directory struct {
	mu          sync.Mutex
	credentials map[string]*consumer.Credential
	consumers   map[string]*consumer.Consumer
	down        bool
	generation  atomic.Uint64
	lookups     atomic.Int64
}

func newDirectory() *directory {
	return &directory{credentials: map[string]*consumer.Credential{}, consumers: map[string]*consumer.Consumer{}}
}

func (d *directory) put(c *consumer.Credential) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.credentials[c.Key] = c
}

func (d *directory) remove(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.credentials, key)
	d.generation.Add(1)
}

func (d *directory) fail(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

func (d *directory) Find(_ context.Context, key string) (*consumer.Credential, error) {
	d.lookups.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, fault.New(fault.Unavailable, "the store is down")
	}
	return d.credentials[key], nil
}

func (d *directory) FindConsumer(_ context.Context, name string) (*consumer.Consumer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, fault.New(fault.Unavailable, "the store is down")
	}
	return d.consumers[name], nil
}

func (d *directory) Generation() uint64 { return d.generation.Load() }

// storedSecret is an HS256 credential as a registry has it.
func storedSecret(key, value, username string) *consumer.Credential {
	k := must(carnet.ImportedSecretKey("HS256", "", []byte(value)))
	m := consumer.Material{Keys: []*carnet.Key{k}, Secret: secret.FromString(value)}
	return consumer.NewCredential(consumer.New(username, "", nil), key, m, nil)
}

// storedKey is an RS256 credential.
func storedKey(key, pem, username string) *consumer.Credential {
	k := must(carnet.ParsePEM("RS256", "", []byte(pem)))
	return consumer.NewCredential(consumer.New(username, "", nil), key, consumer.Material{Keys: []*carnet.Key{k}}, nil)
}

// cached is o with a cache for verified tokens.
func cached(o Options) Options {
	o.Cache = carnet.NewCache(1 << 20)
	return o
}
