package consumer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

// data is the real store, which can be made to fail, and counts what it is asked.
type data struct {
	*sqlite.Store
	down  atomic.Bool
	finds atomic.Int64
	hold  atomic.Pointer[hold]

	tidied chan struct{} // gets one when the last part of the background work is done
}

// hold keeps finds waiting.
type hold struct{ begun, over chan struct{} }

var errDown = fault.New(fault.Unavailable, "down")

func (d *data) FindCredential(ctx context.Context, key string) (consumer.Record, consumer.Info, error) {
	d.finds.Add(1)
	rec, info, err := d.Store.FindCredential(ctx, key)
	if h := d.hold.Load(); h != nil {
		h.begun <- struct{}{}
		<-h.over
	}
	if d.down.Load() {
		return consumer.Record{}, consumer.Info{}, errDown
	}
	return rec, info, err
}

func (d *data) Consumer(ctx context.Context, name string) (consumer.Info, error) {
	if d.down.Load() {
		return consumer.Info{}, errDown
	}
	return d.Store.Consumer(ctx, name)
}

func (d *data) Changes(ctx context.Context, after int64, most int) ([]consumer.Change, error) {
	if d.down.Load() {
		return nil, errDown
	}
	return d.Store.Changes(ctx, after, most)
}

func (d *data) AddUses(ctx context.Context, all []consumer.Use) error {
	if d.down.Load() {
		return errDown
	}
	return d.Store.AddUses(ctx, all)
}

func (d *data) PruneUses(ctx context.Context, before time.Time) error {
	err := d.Store.PruneUses(ctx, before)
	d.tidied <- struct{}{}
	return err
}

func openData(t testing.TB) *data {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "carnet.db"))
}

func openAt(t testing.TB, path string) *data {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return &data{Store: s, tidied: make(chan struct{}, 10)}
}

// clock stands still but for tests.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time               { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *clock) pass(d time.Duration)         { c.ms.Add(d.Milliseconds()) }
func (c *clock) in(d time.Duration) time.Time { return c.now().Add(d) }

// node is a registry as one node has it.
type node struct {
	*consumer.Registry
	*clock
	data *data
}

func boxOf(t testing.TB) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(secret.New(bytes.Repeat([]byte{7}, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// publicPEM is a new ES256 key's.
func publicPEM(t testing.TB) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// newNode opens a registry over d that has been told to follow.
func newNode(t testing.TB, d *data, edit ...func(*consumer.RegistryConfig)) *node {
	t.Helper()
	k := newClock()
	c := consumer.RegistryConfig{Store: d, Box: boxOf(t), Clock: k.now}
	for _, e := range edit {
		e(&c)
	}
	r, err := consumer.NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{r, k, d}
	n.follow(t)
	return n
}

func (n *node) follow(t testing.TB) {
	t.Helper()
	if err := n.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// add adds a credential with a key and a secret, and the consumer if it is not there.
func (n *node) add(t testing.TB, owner, key, value string) consumer.Record {
	t.Helper()
	if _, err := n.Consumer(t.Context(), owner); err != nil {
		if _, err := n.AddConsumer(t.Context(), consumer.Info{Username: owner}); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := n.AddCredential(t.Context(), consumer.Record{ConsumerID: owner, Key: key, Secret: secret.FromString(value)})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func (n *node) find(t testing.TB, key string) *consumer.Credential {
	t.Helper()
	c, err := n.Find(t.Context(), key)
	if err != nil {
		t.Fatalf("Find(%q) = %v", key, err)
	}
	return c
}

// proves tells whether c verifies a token that was signed with a secret.
func proves(t testing.TB, c *consumer.Credential, value string) bool {
	t.Helper()
	if c == nil {
		return false
	}
	k, err := jose.NewImportedSecretKey(jose.HS256, "", []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Sign("", []byte(`{"iss":"`+c.Key+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: credentialKeys{c}, Policy: carnet.SignatureOnly()})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := v.Verify(t.Context(), token)
	return err == nil && verified.Owner() == c
}

type credentialKeys struct{ *consumer.Credential }

func (k credentialKeys) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	return k.Keys(ctx, h)
}

func (credentialKeys) Generation() uint64 { return 1 }

// entries are a source of an import.
type entries struct {
	all []consumer.Entry
	at  int
}

func (e *entries) Next() (consumer.Entry, error) {
	if e.at == len(e.all) {
		return consumer.Entry{}, io.EOF
	}
	e.at++
	return e.all[e.at-1], nil
}

func wantKind(t testing.TB, err error, want fault.Kind, field string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want || fault.Public(err).Field != field {
		t.Errorf("error = %v of kind %v about %q, want kind %v about %q",
			err, fault.KindOf(err), fault.Public(err).Field, want, field)
	}
}

func credentialEntry(line int, owner, key, value string) consumer.Entry {
	e := consumer.Entry{Line: line, Owner: owner}
	e.Key, e.Algorithm, e.Secret = key, jose.HS256, secret.FromString(value)
	return e
}
