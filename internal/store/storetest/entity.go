package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
)

// Entities is what a store does for the gateway's configuration.
type Entities interface {
	Entities(ctx context.Context) (all []gateway.Entity, revision int64, err error)
	EntityRevision(ctx context.Context) (int64, error)
	ChangeEntities(ctx context.Context, seen int64, remove []string, put []gateway.Entity) (revision int64, err error)
}

func entityTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"entities keep all that they are":          testEntityRoundTrip,
		"an entity's name is taken once":           testEntityNames,
		"entities change all or none":              testEntitiesAllOrNone,
		"entities are changed by who has seen all": testEntityRevision,
		"of many changes of entities none is lost": testEntityRace,
	}
}

func sampleEntity(kind string, n int) gateway.Entity {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	doc, err := json.Marshal(map[string]any{"id": id, "hosts": []string{"店.example"}, "n": n})
	if err != nil {
		panic(err) // a map of such values is always JSON
	}
	return gateway.Entity{Kind: kind, ID: id, Name: fmt.Sprintf("e%d", n), Doc: doc}
}

func wantEntities(t *testing.T, s Store, want ...gateway.Entity) {
	t.Helper()
	got, revision, err := s.Entities(t.Context())
	must(t, err)
	wantEqual(t, "entities", got, want)
	alone, err := s.EntityRevision(t.Context())
	must(t, err)
	wantEqual(t, "revision", alone, revision)
}

func testEntityRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	wantEntities(t, s)
	route, service, bare := sampleEntity("routes", 2), sampleEntity("services", 1), sampleEntity("services", 3)
	bare.Name = ""
	before, err := s.Version(ctx)
	must(t, err)
	revision, err := s.ChangeEntities(ctx, 0, nil, []gateway.Entity{bare, service, route})
	must(t, err)
	wantEqual(t, "revision", revision, 1)
	wantEntities(t, s, route, service, bare)
	after, err := s.Version(ctx)
	must(t, err)
	if after <= before {
		t.Errorf("the version went from %d to %d: other nodes do not notice", before, after)
	}

	service.Name, service.Doc = "renamed", json.RawMessage(`{"a": null}`)
	revision, err = s.ChangeEntities(ctx, revision, []string{bare.ID, "nobody"}, []gateway.Entity{service})
	must(t, err)
	wantEntities(t, s, route, service)
	must(t, s.Close())
	s = open(t)
	wantEntities(t, s, route, service)
	again, err := s.EntityRevision(ctx)
	must(t, err)
	wantEqual(t, "revision after reopening", again, revision)
}

func testEntityNames(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	one, other := sampleEntity("services", 1), sampleEntity("services", 2)
	revision, err := s.ChangeEntities(ctx, 0, nil, []gateway.Entity{one})
	must(t, err)
	usurper := other
	usurper.Name = one.Name
	_, err = s.ChangeEntities(ctx, revision, nil, []gateway.Entity{usurper})
	wantKind(t, err, fault.Conflict)
	elsewhere := usurper
	elsewhere.Kind = "routes"
	revision, err = s.ChangeEntities(ctx, revision, nil, []gateway.Entity{elsewhere})
	must(t, err)
	successor := sampleEntity("services", 3)
	successor.Name = one.Name
	_, err = s.ChangeEntities(ctx, revision, []string{one.ID}, []gateway.Entity{successor})
	must(t, err)
	wantEntities(t, s, elsewhere, successor)

	unnamed, too := sampleEntity("plugins", 4), sampleEntity("plugins", 5)
	unnamed.Name, too.Name = "", ""
	_, err = s.ChangeEntities(ctx, revision+1, nil, []gateway.Entity{unnamed, too})
	must(t, err)
}

func testEntitiesAllOrNone(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	one := sampleEntity("services", 1)
	revision, err := s.ChangeEntities(ctx, 0, nil, []gateway.Entity{one})
	must(t, err)
	clash := sampleEntity("services", 3)
	clash.Name = "e2"
	_, err = s.ChangeEntities(ctx, revision, []string{one.ID}, []gateway.Entity{sampleEntity("services", 2), clash})
	wantKind(t, err, fault.Conflict)
	wantEntities(t, s, one)
	now, err := s.EntityRevision(ctx)
	must(t, err)
	wantEqual(t, "revision", now, revision)
}

func testEntityRevision(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	revision, err := s.ChangeEntities(ctx, 0, nil, []gateway.Entity{sampleEntity("services", 1)})
	must(t, err)
	_, err = s.ChangeEntities(ctx, revision-1, nil, []gateway.Entity{sampleEntity("services", 2)})
	wantKind(t, err, fault.Conflict)
	_, err = s.ChangeEntities(ctx, revision+1, nil, []gateway.Entity{sampleEntity("services", 2)})
	wantKind(t, err, fault.Conflict)
	must(t, s.AddUser(ctx, sampleUser("u1", "alice"))) // another's version
	_, err = s.ChangeEntities(ctx, revision, nil, []gateway.Entity{sampleEntity("services", 2)})
	must(t, err)
}

// testEntityRace has many writers that each add one, and read again when another was
// faster.
func testEntityRace(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	var wg sync.WaitGroup
	const writers, each = 4, 5
	for w := range writers {
		wg.Go(func() {
			s := []Store{one, two}[w%2]
			for n := range each {
				for {
					seen, err := s.EntityRevision(ctx)
					if err == nil {
						_, err = s.ChangeEntities(ctx, seen, nil, []gateway.Entity{sampleEntity("services", w*each+n)})
					}
					if err == nil {
						break
					}
					if fault.KindOf(err) != fault.Conflict {
						t.Errorf("writer %d: %v", w, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	all, revision, err := two.Entities(ctx)
	must(t, err)
	wantEqual(t, "entities", len(all), writers*each)
	wantEqual(t, "revision", revision, int64(writers*each))
}
