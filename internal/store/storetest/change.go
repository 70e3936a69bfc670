package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

func testChanges(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann := sampleConsumer("ann")
	newest, err := s.NewestChange(ctx)
	must(t, err)
	wantEqual(t, "newest change at first", newest, 0)
	rec := bareCredential(ann, "k")
	for _, step := range []struct {
		name string
		do   func() error
		want []consumer.Change
	}{
		{"add consumer", func() error { return s.AddConsumer(ctx, ann) }, []consumer.Change{{Kind: "consumer", Key: ann.ID, Added: true}}},
		{"in vain", func() error { wantKind(t, s.AddConsumer(ctx, ann), fault.Conflict); return nil }, nil},
		{
			"edit consumer", func() error { return s.EditConsumer(ctx, ann.ID, func(*consumer.Info) error { return nil }) },
			[]consumer.Change{{Kind: "consumer", Key: ann.ID}},
		},
		{
			"add credential", func() error { _, err := s.AddCredential(ctx, rec); return err },
			[]consumer.Change{{Kind: "credential", Key: "k", Added: true}},
		},
		{
			"edit credential", func() error {
				_, err := s.EditCredential(ctx, "k", func(r *consumer.Record) error { r.Tags = nil; return nil })
				return err
			},
			[]consumer.Change{{Kind: "credential", Key: "k"}},
		},
		{
			"edit its key", func() error {
				_, err := s.EditCredential(ctx, "k", func(r *consumer.Record) error { r.Key = "m"; return nil })
				return err
			},
			[]consumer.Change{{Kind: "credential", Key: "k"}, {Kind: "credential", Key: "m"}},
		},
		{
			"remove credential", func() error { _, err := s.RemoveCredential(ctx, "m"); return err },
			[]consumer.Change{{Kind: "credential", Key: "m"}},
		},
		{
			"import", func() error { return s.Import(ctx, "i", batch(rec)) },
			[]consumer.Change{{Kind: "credential", Added: true}},
		},
		{
			"replace", func() error {
				b := batch(rec)
				b.Clash = func(_, _ *consumer.Record) bool { return true }
				return s.Import(ctx, "i", b)
			},
			[]consumer.Change{{Kind: "credential", Key: "k"}, {Kind: "credential", Added: true}},
		},
		{
			"remove ended", func() error { _, err := s.RemoveEnded(ctx, ann.Ends.Add(time.Second)); return err },
			[]consumer.Change{{Kind: "consumer", Key: ann.ID}},
		},
		{"purge", func() error { _, err := s.Purge(ctx, 9); return err }, nil},
	} {
		before, err := s.Version(ctx)
		must(t, err)
		must(t, step.do())
		got, err := s.Changes(ctx, newest, 10)
		must(t, err)
		for i := range step.want {
			newest++
			step.want[i].Seq = newest
		}
		wantEqual(t, step.name, got, step.want)
		after, err := s.Version(ctx)
		must(t, err)
		if moved := after > before; moved != (step.want != nil) {
			t.Errorf("%s: the version went from %d to %d", step.name, before, after)
		}
	}
	part, err := s.Changes(ctx, 2, 3)
	must(t, err)
	if len(part) != 3 || part[0].Seq != 3 || part[2].Seq != 5 {
		t.Errorf("three changes after 2 are %v", part)
	}
	last, err := s.NewestChange(ctx)
	must(t, err)
	wantEqual(t, "newest change", last, newest)
}

func testPruneChanges(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.PruneChanges(ctx, time.Now()))
	for i := range 3 {
		added(t, s, fmt.Sprint(i))
	}
	must(t, s.PruneChanges(ctx, time.Now().Add(-time.Hour)))
	all, err := s.Changes(ctx, 0, 9)
	must(t, err)
	wantEqual(t, "changes that are young", len(all), 3)
	must(t, s.PruneChanges(ctx, time.Now().Add(time.Hour)))
	all, err = s.Changes(ctx, 0, 9)
	must(t, err)
	if len(all) != 1 || all[0].Seq != 3 {
		t.Errorf("of old changes %v are left, want the newest", all)
	}
}

func testUses(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := added(t, s, "ann"), added(t, s, "bob")
	monday, tuesday := secondly.Truncate(24*time.Hour), secondly.Truncate(24*time.Hour).Add(24*time.Hour)
	use := func(day time.Time, requests int64, last time.Duration, marks ...uint64) consumer.Use {
		u := consumer.Use{ConsumerID: ann.ID, Day: day, Requests: requests, Last: day.Add(last)}
		for _, m := range marks {
			u.Seen = u.Seen.Add(m)
		}
		return u
	}
	nobody := consumer.Use{ConsumerID: uuid.NewString(), Day: monday, Requests: 1, Last: monday}
	must(t, s.AddUses(ctx, []consumer.Use{use(tuesday, 5, time.Hour, 1, 2), nobody, use(monday, 1, time.Hour, 3)}))
	must(t, s.AddUses(ctx, []consumer.Use{use(tuesday, 2, time.Minute, 2, 4)}))
	got, err := s.Uses(ctx, ann.ID)
	must(t, err)
	if len(got) != 2 || got[1].Seen.Count() != 3 {
		t.Fatalf("uses %v", got)
	}
	got[1].Seen = nil
	wantEqual(t, "uses", got, []consumer.Use{use(monday, 1, time.Hour, 3), use(tuesday, 7, time.Hour)})
	must(t, s.PruneUses(ctx, tuesday))
	got, err = s.Uses(ctx, ann.ID)
	must(t, err)
	if len(got) != 1 || !got[0].Day.Equal(tuesday) {
		t.Errorf("days left: %v", got)
	}
	for _, id := range []string{bob.ID, nobody.ConsumerID} {
		got, err = s.Uses(ctx, id)
		must(t, err)
		wantEqual(t, "days of "+id, len(got), 0)
	}
}

// batch has its records' names for progress, and wants no clash.
func batch(records ...consumer.Record) consumer.Batch {
	return consumer.Batch{
		Records:  records,
		Clash:    func(have, _ *consumer.Record) bool { panic("clash of " + have.Key) },
		Progress: func() string { return fmt.Sprint(len(records)) },
	}
}

func testImport(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob := added(t, s, "ann"), added(t, s, "bob")
	var all []consumer.Record
	for i := range 150 {
		r := bareCredential(ann, fmt.Sprintf("k%03d", i))
		if i%50 == 7 {
			r.ConsumerID, r.Algorithm, r.Sealed, r.PublicKey, r.Tags = bob.ID, jose.ES256, nil, "PEM", []string{"x"}
		}
		all = append(all, r)
	}
	broken := append(append([]consumer.Record{}, all...), bareCredential(consumer.Info{ID: uuid.NewString()}, "x"))
	wantKind(t, s.Import(ctx, "i", batch(broken...)), fault.NotFound)
	_, _, err := s.FindCredential(ctx, "k000")
	wantKind(t, err, fault.NotFound)
	progress, err := s.ImportProgress(ctx, "i")
	must(t, err)
	wantEqual(t, "progress of what failed", progress, "")

	must(t, s.Import(ctx, "i", batch(all...)))
	must(t, s.Import(ctx, "other", batch()))
	for i := range all {
		got, owner, err := s.FindCredential(ctx, all[i].Key)
		must(t, err)
		all[i].ID = got.ID
		wantEqual(t, "imported", got, all[i])
		wantEqual(t, "its consumer", owner.ID, all[i].ConsumerID)
	}
	for name, want := range map[string]string{"i": "150", "other": "0", "x": ""} {
		progress, err = s.ImportProgress(ctx, name)
		must(t, err)
		wantEqual(t, "progress of "+name, progress, want)
	}
	must(t, s.EndImport(ctx, "i"))
	progress, err = s.ImportProgress(ctx, "i")
	must(t, err)
	wantEqual(t, "progress of what has ended", progress, "")
}

func testImportClash(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	ann, bob, gone := added(t, s, "ann"), added(t, s, "bob"), added(t, s, "gone")
	have := map[string]consumer.Record{}
	for _, owner := range []consumer.Info{ann, gone} {
		for _, key := range []string{"keep", "replace"} {
			r, err := s.AddCredential(ctx, bareCredential(owner, owner.Username+key))
			must(t, err)
			have[r.Key] = r
		}
	}
	must(t, s.RemoveConsumer(ctx, gone.ID))
	var all []consumer.Record
	for _, key := range []string{"annkeep", "annreplace", "gonekeep", "new"} {
		r := bareCredential(bob, key)
		r.Sealed = []byte("new " + key)
		all = append(all, r)
	}
	b := batch(all...)
	asked := []string{}
	b.Clash = func(was, want *consumer.Record) bool {
		asked = append(asked, was.Key)
		if was.ConsumerID != ann.ID || string(was.Sealed) != "s of "+was.Key || string(want.Sealed) != "new "+was.Key {
			t.Errorf("asked about %v and %v", was, want)
		}
		return was.Key == "annreplace"
	}
	must(t, s.Import(ctx, "i", b))
	wantEqual(t, "asked", asked, []string{"annkeep", "annreplace"})
	for i, want := range all {
		if i == 0 {
			want = have["annkeep"]
		}
		got, _, err := s.FindCredential(ctx, want.Key)
		must(t, err)
		if was := have[want.Key]; was.ID != "" && got.ID != was.ID {
			t.Errorf("%s has another id than before", want.Key)
		}
		want.ID = got.ID
		wantEqual(t, "credential", got, want)
	}
}
