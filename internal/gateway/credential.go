package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// accessSet is the key set of this issuer's access tokens. A credential for it
// takes only what RFC 9068 calls one.
const accessSet = "access"

// roster is the consumers and credentials of a configuration.
type roster struct {
	consumers   []*consumer.Consumer
	credentials []*credential
	remotes     map[remoteID]*carnet.Remote
}

// credential is a credential of the configuration with its secret at hand. Those
// of a key set get their keys when a snapshot is made.
type credential struct {
	at       string // its place in the configuration
	consumer *consumer.Consumer
	key      string
	set      string            // the key set, "" if material is all there is
	material consumer.Material // that never changes
	policy   *carnet.Policy    // nil for none
	print    [sha256.Size]byte
}

// vault is where credentials get what the configuration only names.
type vault struct {
	issuer, audience string
	secret           func(ctx context.Context, srn string) (secret.Bytes, error)
	keySet           func(name string) ([][]byte, error)
	clock            func() time.Time
	transport        http.RoundTripper // to fetch keys
}

// roster opens the secrets of all consumers. What last has fetched is taken over; last
// may be nil.
func (v *vault) roster(ctx context.Context, consumers []Consumer, last *roster) (*roster, error) {
	all := &roster{remotes: map[remoteID]*carnet.Remote{}}
	for i := range consumers {
		c := &consumers[i]
		who := consumer.New(c.Username, c.CustomID, c.Groups)
		all.consumers = append(all.consumers, who)
		for j := range c.JWTSecrets {
			s, at := &c.JWTSecrets[j], fmt.Sprintf("consumers[%d].jwt_secrets[%d]", i, j)
			cred, err := v.credential(ctx, at, who, s)
			if err != nil {
				return nil, err
			}
			if s.remote() {
				from, err := v.remote(s, last, all)
				if err != nil {
					return nil, fault.BadField(at, err.Error())
				}
				cred.material.Remote = from
			}
			all.credentials = append(all.credentials, cred)
		}
	}
	return all, nil
}

func (v *vault) credential(ctx context.Context, at string, who *consumer.Consumer, s *JWTSecret) (*credential, error) {
	c := &credential{at: at, consumer: who, key: s.Key, set: s.KeySet}
	switch {
	case s.KeySet == accessSet:
		if c.key == "" {
			c.key = v.issuer
		}
		p := carnet.AccessTokens(v.issuer, v.audience)
		if err := p.Validate(); err != nil || c.key != v.issuer {
			return nil, fault.BadField(at+".key", fmt.Sprintf("the key set %q signs for the issuer %q alone", accessSet, v.issuer))
		}
		c.policy = &p
	case s.Secret.Len() > 0:
		value, err := v.open(ctx, s.Secret)
		var k *carnet.Key
		if err == nil {
			k, err = carnet.ImportedSecretKey(string(s.algorithm()), "", value.Reveal())
		}
		if err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Field: at + ".secret", Msg: "secret cannot be used", Err: err}
		}
		c.material = consumer.Material{Keys: []*carnet.Key{k}, Secret: value}
	default:
		for _, p := range s.publicKeys() {
			k, err := s.publicKey(p.pem)
			if err != nil {
				return nil, fault.BadField(at+"."+p.at, err.Error())
			}
			c.material.Keys = append(c.material.Keys, k)
		}
	}
	c.print = fingerprint(append([]string{
		c.key, c.set, string(s.algorithm()), string(c.material.Secret.Reveal()), s.JWKSURI, strconv.FormatBool(s.Discovery),
		v.issuer, v.audience, s.PublicKey,
	}, s.PublicKeys...)...)
	return c, nil
}

// open returns the value of a secret that is stated by value or by name.
func (v *vault) open(ctx context.Context, s Secret) (secret.Bytes, error) {
	srn := s.SRN()
	switch {
	case srn == "":
		return s.Bytes, nil
	case v.secret == nil:
		return secret.Bytes{}, fault.New(fault.Invalid, "no secret store is configured")
	default:
		return v.secret(ctx, srn)
	}
}

// snapshot makes the set of credentials with the keys that are published now.
func (v *vault) snapshot(all *roster) (*snapshot, error) {
	print := sha256.New()
	for _, c := range all.consumers {
		sum := fingerprint(append([]string{c.Username, c.CustomID}, c.Groups...)...)
		print.Write(sum[:])
	}
	var made []*consumer.Credential
	for _, c := range all.credentials {
		m := c.material
		print.Write([]byte(c.consumer.ID))
		print.Write(c.print[:])
		if c.set != "" {
			var err error
			m.Named = true
			if m.Keys, err = v.published(c.set, print); err != nil {
				return nil, &fault.Error{Kind: fault.Invalid, Field: c.at + ".key_set", Msg: fmt.Sprintf("key set %q cannot be read", c.set), Err: err}
			}
		}
		made = append(made, consumer.NewCredential(c.consumer, c.key, m, c.policy))
	}
	set, err := consumer.NewSet(all.consumers, made)
	if err != nil {
		return nil, fault.BadField("consumers", err.Error())
	}
	s := &snapshot{set: set, remotes: slices.Collect(maps.Values(all.remotes))}
	print.Sum(s.print[:0])
	return s, nil
}

func (v *vault) published(set string, print hash.Hash) ([]*carnet.Key, error) {
	if v.keySet == nil {
		return nil, fault.New(fault.Invalid, "there are no key sets")
	}
	jwks, err := v.keySet(set)
	if err != nil {
		return nil, err
	}
	keys := make([]*carnet.Key, len(jwks))
	for i, jwk := range jwks {
		if keys[i], err = carnet.ParseJWK(jwk); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(jwk)
		print.Write(sum[:])
	}
	return keys, nil
}

// publicKeys are the PEM blocks of s with their places in it.
func (s *JWTSecret) publicKeys() []struct{ at, pem string } {
	var list []struct{ at, pem string }
	if s.PublicKey != "" {
		list = append(list, struct{ at, pem string }{"rsa_public_key", s.PublicKey})
	}
	for i, p := range s.PublicKeys {
		list = append(list, struct{ at, pem string }{fmt.Sprintf("public_keys[%d]", i), p})
	}
	return list
}

// publicKey reads a PEM block. A private key is refused: a gateway that only
// verifies must hold nothing that could sign.
func (s *JWTSecret) publicKey(block string) (*carnet.Key, error) {
	if strings.Contains(block, "PRIVATE KEY") {
		return nil, fault.New(fault.Invalid, "is a private key: write the public one")
	}
	return carnet.ParsePEM(s.Algorithm, "", []byte(block))
}

// fingerprint is one hash of texts in order.
func fingerprint(texts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, t := range texts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(t))))
		h.Write([]byte(t))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
