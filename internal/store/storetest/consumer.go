package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// Consumers is the part of [Store] that the gateway's consumers need.
type Consumers interface {
	Consumer(ctx context.Context, name string) (consumer.Info, error)
	Consumers(ctx context.Context, p consumer.Page) ([]consumer.Info, string, error)
	AddConsumer(ctx context.Context, i consumer.Info) error
	EditConsumer(ctx context.Context, id string, edit func(*consumer.Info) error) error
	RemoveConsumer(ctx context.Context, id string) error
	Ends(ctx context.Context) ([]time.Time, error)
	RemoveEnded(ctx context.Context, before time.Time) ([]string, error)
	Purge(ctx context.Context, most int) (done bool, err error)

	FindCredential(ctx context.Context, key string) (consumer.Record, consumer.Info, error)
	Credential(ctx context.Context, name string) (consumer.Record, error)
	Credentials(ctx context.Context, consumerID string, p consumer.Page) ([]consumer.Record, string, error)
	AddCredential(ctx context.Context, r consumer.Record) (consumer.Record, error)
	EditCredential(ctx context.Context, name string, edit func(*consumer.Record) error) (string, error)
	RemoveCredential(ctx context.Context, name string) (string, error)

	Changes(ctx context.Context, after int64, most int) ([]consumer.Change, error)
	NewestChange(ctx context.Context) (int64, error)
	PruneChanges(ctx context.Context, before time.Time) error

	AddUses(ctx context.Context, all []consumer.Use) error
	Uses(ctx context.Context, consumerID string) ([]consumer.Use, error)
	PruneUses(ctx context.Context, before time.Time) error

	Import(ctx context.Context, name string, b consumer.Batch) error
	ImportProgress(ctx context.Context, name string) (string, error)
	EndImport(ctx context.Context, name string) error
}

func consumerTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"consumers keep all that they are":            testConsumersRoundTrip,
		"a consumer's names are taken once":           testConsumerConflict,
		"consumers come in pages":                     testConsumerPages,
		"credentials keep all that they are":          testCredentialsRoundTrip,
		"a credential is found by id before key":      testCredentialNames,
		"a credential's key and id are taken once":    testCredentialConflict,
		"credentials come in pages":                   testCredentialPages,
		"an id that follows from a row is not reused": testCredentialIDs,
		"a removed consumer takes its credentials":    testRemoveConsumer,
		"ended consumers are removed":                 testRemoveEnded,
		"changes are logged in order":                 testChanges,
		"old changes are forgotten but the newest":    testPruneChanges,
		"use adds up by day":                          testUses,
		"an import is all or nothing":                 testImport,
		"an import leaves clashes to its caller":      testImportClash,
	}
}

// secondly has the precision of consumers: a second.
var secondly = epoch.Truncate(time.Second)

func sampleConsumer(name string) consumer.Info {
	return consumer.Info{
		ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String(), Username: name, CustomID: "id of " + name,
		Groups: []consumer.Group{
			{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("g"+name)).String(), Name: "device", Tags: []string{"t"}, Created: secondly},
			{ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("h"+name)).String(), Name: `odd "group" 店`, Created: secondly},
		},
		Tags: []string{"a", "b"}, Created: secondly, Ends: secondly.Add(time.Hour),
	}
}

// added is a bare consumer of that name, in the store.
func added(t *testing.T, s Store, name string) consumer.Info {
	t.Helper()
	i := consumer.Info{ID: sampleConsumer(name).ID, Username: name, Created: secondly}
	must(t, s.AddConsumer(t.Context(), i))
	return i
}

func bareCredential(owner consumer.Info, key string) consumer.Record {
	return consumer.Record{ConsumerID: owner.ID, Key: key, Algorithm: jose.HS256, Sealed: []byte("s of " + key), Created: secondly}
}

func testConsumersRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	full := sampleConsumer("ann")
	bare := consumer.Info{ID: uuid.NewString(), CustomID: "bare", Created: secondly.Add(time.Second)}
	must(t, s.AddConsumer(ctx, full))
	must(t, s.AddConsumer(ctx, bare))
	for _, name := range []string{full.ID, "ann"} {
		got, err := s.Consumer(ctx, name)
		must(t, err)
		wantEqual(t, "consumer by "+name, got, full)
	}
	all, next, err := s.Consumers(ctx, consumer.Page{Size: 10})
	must(t, err)
	wantEqual(t, "consumers", all, []consumer.Info{full, bare})
	wantEqual(t, "offset after the last", next, "")

	changed := full
	changed.Username, changed.CustomID, changed.Groups, changed.Tags, changed.Ends = "bob", "", full.Groups[:1], nil, time.Time{}
	must(t, s.EditConsumer(ctx, full.ID, func(i *consumer.Info) error {
		wantEqual(t, "consumer in the edit", *i, full)
		*i = changed
		i.ID = bare.ID // is not to be changed
		return nil
	}))
	got, err := s.Consumer(ctx, "bob")
	must(t, err)
	wantEqual(t, "consumer after the edit", got, changed)
	for _, name := range []string{"ann", "", "bare", "id of ann"} {
		if _, err := s.Consumer(ctx, name); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Consumer(%q) = %v, want kind %v", name, err, fault.NotFound)
		}
	}
	no := fault.New(fault.Denied, "no")
	wantKind(t, s.EditConsumer(ctx, full.ID, func(i *consumer.Info) error { i.Username = "x"; return no }), fault.Denied)
	wantKind(t, s.EditConsumer(ctx, uuid.NewString(), func(*consumer.Info) error { return nil }), fault.NotFound)
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	if wantKind(t, err, fault.Conflict); fault.Public(err).Field != field {
		t.Errorf("error = %v names the field %q, want %q", err, fault.Public(err).Field, field)
	}
}

func testConsumerConflict(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := sampleConsumer("ann"), sampleConsumer("bob")
	must(t, s.AddConsumer(ctx, ann))
	must(t, s.AddConsumer(ctx, bob))
	for field, edit := range map[string]func(*consumer.Info){
		"id":        func(i *consumer.Info) { i.ID = ann.ID },
		"username":  func(i *consumer.Info) { i.Username = "ann" },
		"custom_id": func(i *consumer.Info) { i.CustomID = ann.CustomID },
	} {
		c := sampleConsumer("carol")
		edit(&c)
		wantField(t, s.AddConsumer(ctx, c), field)
		if field != "id" {
			wantField(t, s.EditConsumer(ctx, bob.ID, func(i *consumer.Info) error { edit(i); return nil }), field)
		}
	}
	got, _, err := s.Consumers(ctx, consumer.Page{Size: 10})
	must(t, err)
	wantEqual(t, "consumers", got, []consumer.Info{ann, bob})
}

func testConsumerPages(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	var want, got []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("c%d", i))
		added(t, s, want[i])
	}
	must(t, s.RemoveConsumer(ctx, sampleConsumer("c3").ID))
	want = slices.Delete(want, 3, 4)
	for offset, pages := "", 0; pages == 0 || offset != ""; pages++ {
		part, next, err := s.Consumers(ctx, consumer.Page{Size: 2, Offset: offset})
		must(t, err)
		if len(part) > 2 || len(part) == 0 || pages > 3 {
			t.Fatalf("page %d has %d consumers", pages, len(part))
		}
		for _, c := range part {
			got = append(got, c.Username)
		}
		offset = next
	}
	wantEqual(t, "consumers of all pages", got, want)
	_, _, err := s.Consumers(ctx, consumer.Page{Size: 2, Offset: "x"})
	if wantKind(t, err, fault.Invalid); fault.Public(err).Field != "offset" {
		t.Errorf("a bad offset is %v", err)
	}
}

func testCredentialsRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := sampleConsumer("ann"), added(t, s, "bob")
	must(t, s.AddConsumer(ctx, ann))
	full := consumer.Record{
		ID: uuid.NewString(), ConsumerID: ann.ID, Key: "key of 店", Algorithm: jose.RS256, Sealed: []byte{0, 1, 0xff},
		PublicKey: "-----BEGIN PUBLIC KEY-----\n", Tags: []string{"t"}, Created: secondly,
	}
	bare := bareCredential(bob, "bare")
	got, err := s.AddCredential(ctx, full)
	must(t, err)
	wantEqual(t, "credential as added", got, full)
	got, err = s.AddCredential(ctx, bare)
	must(t, err)
	if bare.ID = got.ID; uuid.Validate(got.ID) != nil {
		t.Errorf("the store gave the id %q", got.ID)
	}
	wantEqual(t, "bare credential as added", got, bare)

	rec, owner, err := s.FindCredential(ctx, full.Key)
	must(t, err)
	wantEqual(t, "credential found", rec, full)
	wantEqual(t, "its consumer", owner, ann)
	all, next, err := s.Credentials(ctx, "", consumer.Page{Size: 10})
	must(t, err)
	wantEqual(t, "credentials", all, []consumer.Record{full, bare})
	wantEqual(t, "offset after the last", next, "")

	changed := full
	changed.ConsumerID, changed.Key, changed.Algorithm, changed.PublicKey, changed.Tags = bob.ID, "other", jose.HS512, "", nil
	key, err := s.EditCredential(ctx, full.Key, func(r *consumer.Record) error {
		wantEqual(t, "credential in the edit", *r, full)
		*r = changed
		r.ID = bare.ID // is not to be changed
		return nil
	})
	must(t, err)
	wantEqual(t, "key before the edit", key, full.Key)
	rec, owner, err = s.FindCredential(ctx, "other")
	must(t, err)
	wantEqual(t, "credential after the edit", rec, changed)
	wantEqual(t, "its consumer after the edit", owner, bob)

	no := fault.New(fault.Denied, "no")
	_, err = s.EditCredential(ctx, "other", func(r *consumer.Record) error { r.Key = "x"; return no })
	wantKind(t, err, fault.Denied)
	_, err = s.EditCredential(ctx, "other", func(r *consumer.Record) error { r.ConsumerID = uuid.NewString(); return nil })
	wantKind(t, err, fault.NotFound)
	_, err = s.EditCredential(ctx, full.Key, func(*consumer.Record) error { return nil })
	wantKind(t, err, fault.NotFound)
	_, err = s.AddCredential(ctx, consumer.Record{ConsumerID: uuid.NewString(), Key: "k", Algorithm: jose.HS256, Created: secondly})
	wantKind(t, err, fault.NotFound)
	_, _, err = s.FindCredential(ctx, full.Key)
	wantKind(t, err, fault.NotFound)
}

func testCredentialNames(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann := added(t, s, "ann")
	first, err := s.AddCredential(ctx, bareCredential(ann, "first"))
	must(t, err)
	given := bareCredential(ann, "given")
	given.ID = uuid.NewString()
	_, err = s.AddCredential(ctx, given)
	must(t, err)
	var named []consumer.Record // whose keys are the ids of others
	for _, id := range []string{first.ID, given.ID, uuid.NewString()} {
		r, err := s.AddCredential(ctx, bareCredential(ann, id))
		must(t, err)
		named = append(named, r)
	}
	for name, want := range map[string]consumer.Record{
		first.ID: first, "first": first, given.ID: given, "given": given, named[0].ID: named[0], named[2].Key: named[2],
	} {
		got, err := s.Credential(ctx, name)
		must(t, err)
		wantEqual(t, "credential "+name, got, want)
	}
	for _, name := range []string{"", "First", uuid.NewString(), strings.ToUpper(first.ID) + "x"} {
		if _, err := s.Credential(ctx, name); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Credential(%q) = %v, want kind %v", name, err, fault.NotFound)
		}
	}
	key, err := s.RemoveCredential(ctx, first.ID)
	must(t, err)
	wantEqual(t, "key of the removed", key, "first")
	_, err = s.RemoveCredential(ctx, "first")
	wantKind(t, err, fault.NotFound)
	_, err = s.Credential(ctx, "first")
	wantKind(t, err, fault.NotFound)
}

func testCredentialConflict(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := added(t, s, "ann"), added(t, s, "bob")
	given := bareCredential(ann, "taken")
	given.ID = uuid.NewString()
	_, err := s.AddCredential(ctx, given)
	must(t, err)
	other, err := s.AddCredential(ctx, bareCredential(bob, "other"))
	must(t, err)
	_, err = s.AddCredential(ctx, bareCredential(bob, "taken"))
	wantField(t, err, "key")
	_, err = s.EditCredential(ctx, other.ID, func(r *consumer.Record) error { r.Key = "taken"; return nil })
	wantField(t, err, "key")
	for _, id := range []string{given.ID, other.ID} {
		again := bareCredential(bob, "third")
		again.ID = id
		_, err = s.AddCredential(ctx, again)
		wantField(t, err, "id")
	}
	all, _, err := s.Credentials(ctx, "", consumer.Page{Size: 10})
	must(t, err)
	wantEqual(t, "credentials", all, []consumer.Record{given, other})
}

func testCredentialPages(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := added(t, s, "ann"), added(t, s, "bob")
	var want []string
	for i := range 9 {
		want = append(want, fmt.Sprintf("k%d", 9-i)) // not in the order of keys
		_, err := s.AddCredential(ctx, bareCredential(ann, want[i]))
		must(t, err)
		_, err = s.AddCredential(ctx, bareCredential(bob, "b"+want[i]))
		must(t, err)
	}
	for owner, count := range map[string]int{ann.ID: 9, "": 18, uuid.NewString(): 0} {
		var got []string
		for offset, pages := "", 0; pages == 0 || offset != ""; pages++ {
			part, next, err := s.Credentials(ctx, owner, consumer.Page{Size: 3, Offset: offset})
			must(t, err)
			if len(part) > 3 || pages > 6 {
				t.Fatalf("page %d has %d credentials", pages, len(part))
			}
			for _, r := range part {
				got = append(got, r.Key)
			}
			offset = next
		}
		if owner == ann.ID {
			wantEqual(t, "keys of all pages", got, want)
		}
		wantEqual(t, "number of credentials of "+owner, len(got), count)
	}
	_, _, err := s.Credentials(ctx, "", consumer.Page{Size: 2, Offset: uuid.NewString()})
	wantKind(t, err, fault.Invalid)
}

func testCredentialIDs(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann := added(t, s, "ann")
	seen := map[string]bool{}
	for range 5 {
		r, err := s.AddCredential(ctx, bareCredential(ann, "k"))
		must(t, err)
		if seen[r.ID] {
			t.Errorf("the id %s was another's", r.ID)
		}
		seen[r.ID] = true
		_, err = s.RemoveCredential(ctx, "k")
		must(t, err)
	}
	for id := range seen { // whoever names one that was deleted means that
		back := bareCredential(ann, "back as "+id)
		back.ID = id
		_, err := s.AddCredential(ctx, back)
		must(t, err)
		got, err := s.Credential(ctx, id)
		must(t, err)
		wantEqual(t, "credential that is back", got, back)
	}
	r, err := s.AddCredential(ctx, bareCredential(ann, "k"))
	must(t, err)
	if seen[r.ID] {
		t.Errorf("the id %s was another's", r.ID)
	}
}

func testRemoveConsumer(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := sampleConsumer("ann"), added(t, s, "bob")
	must(t, s.AddConsumer(ctx, ann))
	for i := range 5 {
		_, err := s.AddCredential(ctx, bareCredential(ann, fmt.Sprint("a", i)))
		must(t, err)
	}
	kept, err := s.AddCredential(ctx, bareCredential(bob, "b"))
	must(t, err)
	must(t, s.AddUses(ctx, []consumer.Use{{ConsumerID: ann.ID, Day: secondly, Requests: 1, Last: secondly}}))
	must(t, s.RemoveConsumer(ctx, ann.ID))
	wantKind(t, s.RemoveConsumer(ctx, ann.ID), fault.NotFound)

	gone := func() {
		t.Helper()
		for _, name := range []string{ann.ID, "ann"} {
			_, err := s.Consumer(ctx, name)
			wantKind(t, err, fault.NotFound)
		}
		_, _, err := s.FindCredential(ctx, "a0")
		wantKind(t, err, fault.NotFound)
		_, err = s.Credential(ctx, "a0")
		wantKind(t, err, fault.NotFound)
		all, next, err := s.Credentials(ctx, "", consumer.Page{Size: 1})
		must(t, err)
		wantEqual(t, "credentials", all, []consumer.Record{kept})
		wantEqual(t, "next page", next, "")
		ends, err := s.Ends(ctx)
		must(t, err)
		wantEqual(t, "ends", len(ends), 0)
	}
	gone()
	must(t, s.AddConsumer(ctx, ann)) // its names are free
	must(t, s.RemoveConsumer(ctx, ann.ID))
	taken, err := s.AddCredential(ctx, bareCredential(bob, "a4")) // and so are its keys
	must(t, err)
	_, err = s.RemoveCredential(ctx, taken.ID)
	must(t, err)
	steps := 0
	for done := false; !done; steps++ {
		if done, err = s.Purge(ctx, 2); err != nil || steps > 10 {
			t.Fatalf("step %d of a purge: %v", steps, err)
		}
	}
	if steps < 4 {
		t.Errorf("4 credentials were deleted two at a time in %d steps", steps)
	}
	gone()
}

func testRemoveEnded(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	var ids []string
	for i, name := range []string{"c", "b", "a"} {
		c := sampleConsumer(name)
		c.Ends = secondly.Add(time.Duration(3-i) * time.Hour)
		must(t, s.AddConsumer(ctx, c))
		ids = append(ids, c.ID)
	}
	added(t, s, "stays")
	ends, err := s.Ends(ctx)
	must(t, err)
	wantEqual(t, "ends", ends, []time.Time{secondly.Add(time.Hour), secondly.Add(2 * time.Hour), secondly.Add(3 * time.Hour)})
	gone, err := s.RemoveEnded(ctx, secondly.Add(time.Hour))
	must(t, err)
	wantEqual(t, "removed too early", len(gone), 0)
	gone, err = s.RemoveEnded(ctx, secondly.Add(2*time.Hour+time.Second))
	must(t, err)
	slices.Sort(gone)
	want := slices.Sorted(slices.Values(ids[1:]))
	wantEqual(t, "removed", gone, want)
	for _, id := range want {
		_, err = s.Consumer(ctx, id)
		wantKind(t, err, fault.NotFound)
	}
	left, _, err := s.Consumers(ctx, consumer.Page{Size: 9})
	must(t, err)
	wantEqual(t, "consumers left", len(left), 2)
}
