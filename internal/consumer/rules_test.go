package consumer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// reserving is a node beside whose store there is a file.
func reserving(t testing.TB) *node {
	t.Helper()
	n := newNode(t, openData(t))
	n.Reserve(consumer.Reserved{
		Consumers: map[string]bool{"file": true}, CustomIDs: map[string]bool{"file id": true},
		Keys: map[string]bool{"file key": true}, Prefixes: []string{"mobilev2", "desk"},
	})
	return n
}

func TestConsumerRules(t *testing.T) {
	t.Parallel()
	n := reserving(t)
	if _, err := n.AddConsumer(t.Context(), consumer.Info{Username: "taken", CustomID: "taken id"}); err != nil {
		t.Fatal(err)
	}
	many := make([]consumer.Group, 257)
	for i := range many {
		many[i].Name = fmt.Sprint("g", i)
	}
	for name, tc := range map[string]struct {
		give  consumer.Info
		kind  fault.Kind // Internal: none
		field string
	}{
		"username":                {consumer.Info{Username: "ann 店"}, 0, ""},
		"custom id":               {consumer.Info{CustomID: "7"}, 0, ""},
		"given id":                {consumer.Info{ID: uuid.NewString(), Username: "given"}, 0, ""},
		"neither name":            {consumer.Info{}, fault.Invalid, "username"},
		"blank":                   {consumer.Info{Username: " a"}, fault.Invalid, "username"},
		"control":                 {consumer.Info{Username: "a\nb"}, fault.Invalid, "username"},
		"long":                    {consumer.Info{CustomID: strings.Repeat("x", 256)}, fault.Invalid, "custom_id"},
		"the file's":              {consumer.Info{Username: "file"}, fault.Conflict, "username"},
		"the file's custom id":    {consumer.Info{Username: "x", CustomID: "file id"}, fault.Conflict, "custom_id"},
		"taken":                   {consumer.Info{Username: "taken"}, fault.Conflict, "username"},
		"taken custom id":         {consumer.Info{CustomID: "taken id"}, fault.Conflict, "custom_id"},
		"id that is none":         {consumer.Info{ID: "x", Username: "x"}, fault.Invalid, "id"},
		"id in upper case":        {consumer.Info{ID: strings.ToUpper(uuid.NewString()), Username: "x"}, fault.Invalid, "id"},
		"group with comma":        {consumer.Info{Username: "x", Groups: []consumer.Group{{Name: "a,b"}}}, fault.Invalid, "groups[0]"},
		"too many groups":         {consumer.Info{Username: "x", Groups: many}, fault.Invalid, "groups"},
		"tag with slash":          {consumer.Info{Username: "x", Tags: []string{"a/b"}}, fault.Invalid, "tags"},
		"too many tags":           {consumer.Info{Username: "x", Tags: make([]string, 65)}, fault.Invalid, "tags"},
		"not UTF-8":               {consumer.Info{Username: "\xff"}, fault.Invalid, "username"},
		"ID of another's taken":   {consumer.Info{ID: mustConsumer(t, n, "taken").ID, Username: "x"}, fault.Conflict, "id"},
		"group without a name":    {consumer.Info{Username: "x", Groups: []consumer.Group{{}}}, fault.Invalid, "groups[0]"},
		"group whose id is wrong": {consumer.Info{Username: "x", Groups: []consumer.Group{{ID: "x", Name: "g"}}}, fault.Invalid, "id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := n.AddConsumer(t.Context(), tc.give)
			if tc.kind != fault.Internal {
				wantKind(t, err, tc.kind, tc.field)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if uuid.Validate(got.ID) != nil || !got.Created.Equal(n.now()) {
				t.Errorf("AddConsumer() = %+v", got)
			}
			stored := mustConsumer(t, n, got.ID)
			if stored.Username != tc.give.Username || stored.CustomID != tc.give.CustomID || !stored.Created.Equal(n.now()) {
				t.Errorf("stored as %+v", stored)
			}
		})
	}
}

func mustConsumer(t testing.TB, n *node, name string) consumer.Info {
	t.Helper()
	i, err := n.Consumer(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestGroupRules(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	ctx := t.Context()
	n.add(t, "ann", "k", "s")
	g, err := n.AddGroup(ctx, "ann", consumer.Group{Name: "a"})
	if err != nil || uuid.Validate(g.ID) != nil || !g.Created.Equal(n.now()) {
		t.Fatalf("AddGroup() = %+v, %v", g, err)
	}
	_, err = n.AddGroup(ctx, "ann", consumer.Group{Name: "a"})
	wantKind(t, err, fault.Conflict, "group")
	_, err = n.AddGroup(ctx, "ann", consumer.Group{ID: g.ID, Name: "b"})
	wantKind(t, err, fault.Conflict, "id")
	_, err = n.AddGroup(ctx, "ann", consumer.Group{Name: ""})
	wantKind(t, err, fault.Invalid, "group")
	_, err = n.AddGroup(ctx, "bob", consumer.Group{Name: "a"})
	wantKind(t, err, fault.NotFound, "")
	if err := n.DeleteGroup(ctx, "ann", g.ID); err != nil {
		t.Error(err)
	}
	wantKind(t, n.DeleteGroup(ctx, "ann", "a"), fault.NotFound, "")
	full := consumer.Info{Username: "full"}
	for i := range 256 {
		full.Groups = append(full.Groups, consumer.Group{Name: fmt.Sprint(i)})
	}
	if _, err := n.AddConsumer(ctx, full); err != nil || full.Groups[0].ID != "" {
		t.Fatalf("AddConsumer() = %v, and the caller's groups are %v", err, full.Groups[:1])
	}
	_, err = n.AddGroup(ctx, "full", consumer.Group{Name: "a"})
	wantKind(t, err, fault.Invalid, "group")
}

// rsaPEM has 1024 bits.
const rsaPEM = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdlatRjRjogo3WojgGHFHYLugd
UWAY9iR3fy4arWNA1KoS8kVw33cJibXr8bvwUAUparCwlvdbH6dvEOfou0/gCFQs
HUfQrSDv+MuSUMAe8jzKE4qW+jK+xQU9a03GUnKHkkle+Q0pX/g6jXZ7r1/xAK5D
o2kQ+X5xK9cipRgEKwIDAQAB
-----END PUBLIC KEY-----`

func TestCredentialRules(t *testing.T) {
	t.Parallel()
	n := reserving(t)
	n.add(t, "ann", "taken", "s")
	public := publicPEM(t)
	for name, tc := range map[string]struct {
		give  consumer.Record
		kind  fault.Kind // Internal: none
		field string
	}{
		"nothing but the consumer": {consumer.Record{}, 0, ""},
		"secret of one byte":       {consumer.Record{Key: "k1", Secret: secret.FromString("x")}, 0, ""},
		"HS512":                    {consumer.Record{Key: "k2", Algorithm: jose.HS512}, 0, ""},
		"ES256":                    {consumer.Record{Key: "k3", Algorithm: jose.ES256, PublicKey: public}, 0, ""},
		"ES256 with a secret":      {consumer.Record{Key: "k4", Algorithm: jose.ES256, PublicKey: public, Secret: secret.FromString("x")}, 0, ""},
		"key with blanks inside":   {consumer.Record{Key: "a b"}, 0, ""},
		"asymmetric prefix":        {consumer.Record{Key: "mobilev2", Algorithm: jose.ES256, PublicKey: public}, 0, ""},
		"begins like a prefix":     {consumer.Record{Key: "mobilev2x"}, 0, ""},
		"taken":                    {consumer.Record{Key: "taken"}, fault.Conflict, "key"},
		"the file's":               {consumer.Record{Key: "file key"}, fault.Conflict, "key"},
		"unknown algorithm":        {consumer.Record{Key: "x", Algorithm: "none"}, fault.Invalid, "algorithm"},
		"RS256 without key":        {consumer.Record{Key: "x", Algorithm: jose.RS256}, fault.Invalid, "rsa_public_key"},
		"ES256 without key":        {consumer.Record{Key: "x", Algorithm: jose.ES256}, fault.Invalid, "rsa_public_key"},
		"key of another algorithm": {consumer.Record{Key: "x", Algorithm: jose.RS256, PublicKey: public}, fault.Invalid, "rsa_public_key"},
		"no PEM":                   {consumer.Record{Key: "x", Algorithm: jose.RS256, PublicKey: "x"}, fault.Invalid, "rsa_public_key"},
		"weak RSA":                 {consumer.Record{Key: "x", Algorithm: jose.RS256, PublicKey: rsaPEM}, fault.Invalid, "rsa_public_key"},
		"private key": {
			consumer.Record{Key: "x", Algorithm: jose.RS256, PublicKey: "-----BEGIN RSA PRIVATE KEY-----"},
			fault.Invalid, "rsa_public_key",
		},
		"private key beside HS256": {consumer.Record{Key: "x", PublicKey: "-----BEGIN PRIVATE KEY-----"}, fault.Invalid, "rsa_public_key"},
		"long public key":          {consumer.Record{Key: "x", PublicKey: strings.Repeat("x", 1<<15)}, fault.Invalid, "rsa_public_key"},
		"symmetric prefix":         {consumer.Record{Key: "mobilev2"}, fault.Invalid, "key"},
		"symmetric device":         {consumer.Record{Key: "desk-x-1"}, fault.Invalid, "key"},
		"long key":                 {consumer.Record{Key: strings.Repeat("k", 256)}, fault.Invalid, "key"},
		"line break":               {consumer.Record{Key: "a\r\nb"}, fault.Invalid, "key"},
		"long secret":              {consumer.Record{Key: "x", Secret: secret.New(make([]byte, 5000))}, fault.Invalid, "secret"},
		"id that is none":          {consumer.Record{ID: "x", Key: "x"}, fault.Invalid, "id"},
		"tag with comma":           {consumer.Record{Key: "x", Tags: []string{"a,b"}}, fault.Invalid, "tags"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			tc.give.ConsumerID = "ann"
			got, err := n.AddCredential(ctx, tc.give)
			if tc.kind != fault.Internal {
				wantKind(t, err, tc.kind, tc.field)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.ID == "" || got.Key == "" || got.Algorithm == "" || got.ConsumerID != mustConsumer(t, n, "ann").ID || got.Sealed != nil {
				t.Errorf("AddCredential() = %+v", got)
			}
			if got.Algorithm.Symmetric() && tc.give.Secret.Len() == 0 && !alphanumeric(got.Secret.Reveal()) {
				t.Errorf("made secret has %d bytes, or others than letters and digits", got.Secret.Len())
			}
			for _, name := range []string{got.ID, got.Key} {
				stored, err := n.Credential(ctx, name)
				if err != nil || stored.Key != got.Key || stored.Algorithm != got.Algorithm || stored.PublicKey != got.PublicKey ||
					!stored.Secret.Equal(got.Secret) || stored.Sealed != nil || !stored.Created.Equal(n.now()) {
					t.Errorf("stored as %+v, %v", stored, err)
				}
			}
			if n.find(t, got.Key) == nil {
				t.Error("it is not found")
			}
		})
	}
	_, err := n.AddCredential(t.Context(), consumer.Record{ConsumerID: "nobody"})
	wantKind(t, err, fault.NotFound, "")
}

func alphanumeric(b []byte) bool {
	const want = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return len(b) == 32 && strings.Trim(string(b), want) == ""
}

// TestEditRules has edits break what a new credential may not.
func TestEditRules(t *testing.T) {
	t.Parallel()
	n := reserving(t)
	rec := n.add(t, "ann", "k", "s")
	n.add(t, "ann", "other", "s")
	for name, tc := range map[string]struct {
		edit  func(*consumer.Record)
		kind  fault.Kind
		field string
	}{
		"algorithm without key": {func(r *consumer.Record) { r.Algorithm = jose.RS256 }, fault.Invalid, "rsa_public_key"},
		"prefix":                {func(r *consumer.Record) { r.Key = "mobilev2-a-1" }, fault.Invalid, "key"},
		"taken":                 {func(r *consumer.Record) { r.Key = "other" }, fault.Conflict, "key"},
		"the file's":            {func(r *consumer.Record) { r.Key = "file key" }, fault.Conflict, "key"},
		"consumer":              {func(r *consumer.Record) { r.ConsumerID = uuid.NewString() }, fault.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := n.EditCredential(t.Context(), rec.ID, func(r *consumer.Record) error { tc.edit(r); return nil })
			wantKind(t, err, tc.kind, tc.field)
			if !proves(t, n.find(t, "k"), "s") {
				t.Error("the credential was changed")
			}
		})
	}
	_, err := n.EditConsumer(t.Context(), "ann", func(i *consumer.Info) error { i.Username = "file"; return nil })
	wantKind(t, err, fault.Conflict, "username")
}

func TestPages(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	ctx := t.Context()
	for i := range 5 {
		n.add(t, "ann", fmt.Sprint("k", i), "s")
	}
	n.add(t, "bob", "b", "s")
	for _, size := range []int{-1, consumer.MaxPage + 1} {
		_, _, err := n.Consumers(ctx, consumer.Page{Size: size})
		wantKind(t, err, fault.Invalid, "size")
		_, _, err = n.Credentials(ctx, "", consumer.Page{Size: size})
		wantKind(t, err, fault.Invalid, "size")
	}
	all, next, err := n.Consumers(ctx, consumer.Page{})
	if err != nil || len(all) != 2 || next != "" {
		t.Errorf("Consumers() = %v, %q, %v", all, next, err)
	}
	first, next, err := n.Credentials(ctx, "ann", consumer.Page{Size: 3})
	if err != nil || len(first) != 3 || next == "" || string(first[0].Secret.Reveal()) != "s" {
		t.Errorf("Credentials() = %v, %q, %v", first, next, err)
	}
	rest, next, err := n.Credentials(ctx, "ann", consumer.Page{Size: 3, Offset: next})
	if err != nil || len(rest) != 2 || next != "" || rest[1].Key != "k4" {
		t.Errorf("Credentials() = %v, %q, %v", rest, next, err)
	}
	_, _, err = n.Credentials(ctx, "carol", consumer.Page{})
	wantKind(t, err, fault.NotFound, "")
}
