package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// accessSet is the key set of this issuer's access tokens. A credential for it
// takes only what RFC 9068 calls one.
const accessSet = "access"

// credential is a credential of the configuration with its secret at hand. Those
// of a key set get their keys when a snapshot is made.
type credential struct {
	at       string // its place in the configuration
	consumer *consumer.Consumer
	key      string
	set      string         // the key set, "" if keys holds the keys
	keys     []*carnet.Key  // that never change
	policy   *carnet.Policy // nil for none
	print    [sha256.Size]byte
}

// vault is where credentials get what the configuration only names.
type vault struct {
	issuer, audience string
	secret           func(ctx context.Context, srn string) (secret.Bytes, error)
	keySet           func(name string) ([][]byte, error)
}

// credentials opens the secrets of all consumers.
func (v *vault) credentials(ctx context.Context, consumers []Consumer) ([]*credential, error) {
	var all []*credential
	for i := range consumers {
		c := &consumers[i]
		who := consumer.New(c.Username, c.CustomID, c.Groups)
		for j := range c.JWTSecrets {
			cred, err := v.credential(ctx, fmt.Sprintf("consumers[%d].jwt_secrets[%d]", i, j), who, &c.JWTSecrets[j])
			if err != nil {
				return nil, err
			}
			all = append(all, cred)
		}
	}
	return all, nil
}

func (v *vault) credential(ctx context.Context, at string, who *consumer.Consumer, s *JWTSecret) (*credential, error) {
	c := &credential{at: at, consumer: who, key: s.Key, set: s.KeySet}
	var material []byte
	var k *carnet.Key
	var err error
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
	case s.PublicKey != "":
		material = []byte(s.PublicKey)
		k, err = s.publicKey()
	case s.Secret.Len() > 0:
		var value secret.Bytes
		if value, err = v.open(ctx, s.Secret); err == nil {
			material = value.Reveal()
			k, err = carnet.ImportedSecretKey(string(s.algorithm()), "", material)
		}
		if err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Field: at + ".secret", Msg: "secret cannot be used", Err: err}
		}
	}
	if err != nil {
		return nil, fault.BadField(at+".rsa_public_key", err.Error())
	}
	if k != nil {
		c.keys = []*carnet.Key{k}
	}
	c.print = fingerprint(append([]string{
		who.Username, who.CustomID, strings.Join(who.Groups, ","), c.key, c.set, string(s.algorithm()), string(material),
	}, v.issuer, v.audience)...)
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
func (v *vault) snapshot(all []*credential) (*snapshot, error) {
	print := sha256.New()
	var made []*consumer.Credential
	for _, c := range all {
		m := consumer.Material{Keys: c.keys, Named: c.set != ""}
		print.Write(c.print[:])
		if c.set != "" {
			var err error
			if m.Keys, err = v.published(c.set, print); err != nil {
				return nil, &fault.Error{Kind: fault.Invalid, Field: c.at + ".key_set", Msg: fmt.Sprintf("key set %q cannot be read", c.set), Err: err}
			}
		}
		made = append(made, consumer.NewCredential(c.consumer, c.key, m, c.policy))
	}
	set, err := consumer.NewSet(made)
	if err != nil {
		return nil, fault.BadField("consumers", err.Error())
	}
	s := &snapshot{set: set}
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

// publicKey reads the PEM block. A private key is refused: a gateway that only
// verifies must hold nothing that could sign.
func (s *JWTSecret) publicKey() (*carnet.Key, error) {
	if strings.Contains(s.PublicKey, "PRIVATE KEY") {
		return nil, fault.New(fault.Invalid, "is a private key: write the public one")
	}
	return carnet.ParsePEM(s.Algorithm, "", []byte(s.PublicKey))
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
