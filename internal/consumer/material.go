package consumer

import (
	"fmt"
	"unsafe"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// open makes the runtime form of a stored credential.
func (r *Registry) open(rec *Record, h *holder, c *Consumer) (*Credential, error) {
	var m Material
	var k *carnet.Key
	var err error
	if rec.Algorithm.Symmetric() {
		var plain []byte
		if plain, err = r.box.OpenBytes(purpose(rec.Key), rec.Sealed); err == nil {
			m.Secret = secret.New(plain)
			k, err = carnet.ImportedSecretKey(string(rec.Algorithm), "", plain)
		}
	} else {
		k, err = carnet.ParsePEM(string(rec.Algorithm), "", []byte(rec.PublicKey))
	}
	if err != nil {
		return nil, fmt.Errorf("open credential %s: %w", rec.ID, err)
	}
	m.Keys = []*carnet.Key{k}
	cred := NewCredential(c, rec.Key, m, nil)
	cred.ID, cred.holder, cred.mark = rec.ID, h, markOf(rec.Key)
	return cred, nil
}

// under is the same credential of the same consumer in another state.
func (c *Credential) under(now *Consumer) *Credential {
	moved := *c
	moved.Consumer, moved.keys = now, make([]*carnet.Key, len(c.keys))
	for i, k := range c.keys {
		moved.keys[i] = k.WithOwner(&moved)
	}
	return &moved
}

// What a key takes in memory, measured. The state of an HMAC, which a verification
// leaves behind until the next garbage collection, is not counted.
const (
	secretKeyBytes = 450
	publicKeyBytes = 1500
)

// bytes is what the credential takes in memory without its consumer.
func (c *Credential) bytes() int64 {
	n := int(unsafe.Sizeof(*c)) + len(c.ID) + len(c.Key) + 3*c.secret.Len()
	for _, k := range c.keys {
		n += publicKeyBytes
		if jose.Algorithm(k.Algorithm()).Symmetric() {
			n += secretKeyBytes - publicKeyBytes
		}
	}
	return int64(n)
}

// purpose binds a sealed secret to the credential's key.
func purpose(key string) string { return "credential:" + key }

// sealed moves the secret into the form that the store keeps.
func (r *Registry) sealed(rec *Record) error {
	var err error
	rec.Sealed = nil
	if rec.Secret.Len() > 0 {
		rec.Sealed, err = r.box.SealBytes(purpose(rec.Key), rec.Secret.Reveal())
	}
	rec.Secret = secret.Bytes{}
	return err
}

// opened is the inverse of sealed.
func (r *Registry) opened(rec *Record) error {
	if rec.Sealed == nil {
		return nil
	}
	plain, err := r.box.OpenBytes(purpose(rec.Key), rec.Sealed)
	if err != nil {
		return fmt.Errorf("open secret of credential %s: %w", rec.ID, err)
	}
	rec.Secret, rec.Sealed = secret.New(plain), nil
	return nil
}
