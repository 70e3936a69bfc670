package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

func consumerEntry(line int, id, username string) consumer.Entry {
	return consumer.Entry{Line: line, Consumer: &consumer.Info{ID: id, Username: username}}
}

// wantReport compares all but the problems, and these as far as their lines go.
func wantReport(t *testing.T, got, want consumer.ImportReport) {
	t.Helper()
	byLine := cmpopts.IgnoreFields(consumer.ImportProblem{}, "Reason")
	if diff := cmp.Diff(want, got, byLine, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("report (-want +got):\n%s\n%v", diff, got.Problems)
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	n := reserving(t)
	ctx := t.Context()
	n.add(t, "ann", "there", "s")
	n.add(t, "ann", "differs", "s")
	id := uuid.NewString()
	public := credentialEntry(9, "ann", "mobilev2", "")
	public.Algorithm, public.PublicKey, public.Secret = jose.ES256, publicPEM(t), secret.Bytes{}
	bad := consumer.Entry{Line: 10, Bad: "has 3 columns, not 5"}
	all := []consumer.Entry{
		consumerEntry(1, id, "new"),
		consumerEntry(2, uuid.NewString(), "ann"), // under another id than in the store
		credentialEntry(3, id, "b", "secret b"),
		credentialEntry(4, "new", "a", "secret a"),
		credentialEntry(5, "ann", "there", "s"),
		credentialEntry(6, "ann", "differs", "other"),
		credentialEntry(7, "nobody", "c", "s"),
		credentialEntry(8, "ann", "mobilev2-x-1", "s"),
		public, bad,
		credentialEntry(11, "ann", "empty", ""),
		credentialEntry(12, "new", "a", "secret a"),
		credentialEntry(13, "new", "a", "another"),
		credentialEntry(14, "ann", "file key", "s"),
		consumerEntry(15, uuid.NewString(), "file"),
		credentialEntry(17, "ann", "\x00", "s"),
	}
	all = append(all, credentialEntry(16, all[1].Consumer.ID, "of another id", "s"))
	var told consumer.ImportReport
	report := func(options consumer.ImportOptions) consumer.ImportReport {
		t.Helper()
		options.Report = func(r consumer.ImportReport) { told = r }
		got, err := n.Import(ctx, &entries{all: all}, options)
		if err != nil {
			t.Fatal(err)
		}
		if told.Rows != got.Rows {
			t.Errorf("the last progress told was %+v", told)
		}
		return got
	}
	want := consumer.ImportReport{
		Rows: int64(len(all)), Consumers: 1, Added: 4, Same: 2, Clashes: 2, Rejected: 7,
		Problems: []consumer.ImportProblem{
			{Line: 15}, {Line: 10}, {Line: 17}, {Line: 13}, {Line: 7}, {Line: 11}, {Line: 14}, {Line: 8}, {Line: 6},
		},
	}
	wantReport(t, report(consumer.ImportOptions{DryRun: true}), want)
	if _, err := n.Consumer(ctx, "new"); fault.KindOf(err) != fault.NotFound {
		t.Error("a dry run has written")
	}
	wantReport(t, report(consumer.ImportOptions{}), want)
	for key, value := range map[string]string{"a": "secret a", "b": "secret b", "there": "s", "differs": "s", "of another id": "s"} {
		if !proves(t, n.find(t, key), value) {
			t.Errorf("%s has not the secret %q", key, value)
		}
	}
	if m := n.find(t, "mobilev2"); m == nil || m.Symmetric() {
		t.Error("the public key is not there")
	}
	if a := n.find(t, "a"); a.Consumer.ID != id || a.Consumer.Username != "new" {
		t.Errorf("a belongs to %+v", a.Consumer)
	}
	for _, key := range []string{"c", "mobilev2-x-1", "empty"} {
		if n.find(t, key) != nil {
			t.Errorf("%s was taken", key)
		}
	}

	before := n.Generation()
	want.Consumers, want.Added, want.Same, want.Clashes, want.Replaced = 0, 0, 5, 0, 3
	want.Problems = slices.DeleteFunc(want.Problems, func(p consumer.ImportProblem) bool { return p.Line == 6 || p.Line == 13 })
	wantReport(t, report(consumer.ImportOptions{Replace: true}), want)
	if !proves(t, n.find(t, "differs"), "other") || !proves(t, n.find(t, "a"), "another") || n.Generation() == before {
		t.Error("what differs was not replaced, or tokens that were verified before are not looked at again")
	}
}

// cut fails after some entries, as a killed process does.
type cut struct {
	entries
	after int
}

var errCut = errors.New("cut off")

func (c *cut) Next() (consumer.Entry, error) {
	if c.at == c.after {
		return consumer.Entry{}, errCut
	}
	return c.entries.Next()
}

// failing is a store whose imports fail after some.
type failing struct {
	*data
	left int
}

func (f *failing) Import(ctx context.Context, name string, b consumer.Batch) error {
	if f.left--; f.left < 0 {
		return errCut
	}
	return f.data.Import(ctx, name, b)
}

// TestImportResumes cuts imports off wherever that makes a difference: in a chunk, and
// between chunks.
func TestImportResumes(t *testing.T) {
	t.Parallel()
	const count = 9000
	all := []consumer.Entry{consumerEntry(1, uuid.NewString(), "ann")}
	for i := range count {
		all = append(all, credentialEntry(i+2, all[0].Consumer.ID, fmt.Sprintf("%04x", (i*7919)%count), "s"))
	}
	for name, batches := range map[string]int{"before the first batch": 0, "in the chunk": 2, "before the end": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openData(t)
			n := newNode(t, d, func(c *consumer.RegistryConfig) { c.Store = &failing{d, batches} })
			if _, err := n.Import(t.Context(), &entries{all: all}, consumer.ImportOptions{}); batches < 3 && !errors.Is(err, errCut) {
				t.Fatalf("Import() = %v", err)
			}
			next := newNode(t, d)
			got, err := next.Import(t.Context(), &entries{all: all}, consumer.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := consumer.ImportReport{Rows: count + 1, Consumers: 1, Added: count, Resumed: int64(min(batches*4096, count+1))}
			if batches == 0 { // the consumer was added before the batch failed
				want.Consumers, want.Resumed = 0, 0
			}
			if batches == 3 { // nothing was left to continue
				want = consumer.ImportReport{Rows: count + 1, Same: count}
			}
			wantReport(t, got, want)
			for _, key := range []string{"0000", "1000", "2327"} {
				if next.find(t, key) == nil {
					t.Errorf("%s is not there", key)
				}
			}
		})
	}
}

func TestImportOfAnotherFile(t *testing.T) {
	t.Parallel()
	d := openData(t)
	n := newNode(t, d, func(c *consumer.RegistryConfig) { c.Store = &failing{d, 1} })
	n.add(t, "ann", "k", "s")
	var all []consumer.Entry
	for i := range 5000 {
		all = append(all, credentialEntry(i+1, "ann", fmt.Sprint(i), "s"))
	}
	if _, err := n.Import(t.Context(), &entries{all: all}, consumer.ImportOptions{}); !errors.Is(err, errCut) {
		t.Fatalf("Import() = %v", err)
	}
	changed := slices.Clone(all)
	changed[4000] = credentialEntry(4001, "ann", "4000", "changed")
	other := newNode(t, d)
	for name, source := range map[string][]consumer.Entry{"changed": changed, "shorter": all[:4500], "longer": append(slices.Clone(all), changed[0])} {
		_, err := other.Import(t.Context(), &entries{all: source}, consumer.ImportOptions{})
		if wantKind(t, err, fault.Conflict, ""); err != nil && !strings.Contains(err.Error(), "--restart") {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := other.Import(t.Context(), &entries{all: changed}, consumer.ImportOptions{Restart: true})
	if err != nil || got.Resumed != 0 || got.Rows != 5000 || got.Clashes > 1 || got.Added+got.Same+got.Clashes != 5000 {
		t.Errorf("Import() = %+v, %v", got, err)
	}
}

func TestImportFails(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	n.add(t, "ann", "k", "s")
	if got, err := n.Import(t.Context(), &entries{}, consumer.ImportOptions{}); err != nil || got.Rows != 0 {
		t.Errorf("nothing to import: %+v, %v", got, err)
	}
	for after := range 3 {
		all := []consumer.Entry{credentialEntry(1, "ann", "a", "s"), credentialEntry(2, "ann", "b", "s")}
		if _, err := n.Import(t.Context(), &cut{entries{all: all}, after}, consumer.ImportOptions{}); !errors.Is(err, errCut) || errors.Is(err, io.EOF) {
			t.Errorf("after %d entries: %v", after, err)
		}
	}
	if n.find(t, "a") != nil {
		t.Error("a chunk was taken of which not all was read")
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	if _, err := n.Import(done, &entries{all: []consumer.Entry{credentialEntry(1, "ann", "a", "s")}}, consumer.ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestImportReportsSome bounds what is told of rejected rows.
func TestImportReportsSome(t *testing.T) {
	t.Parallel()
	n := newNode(t, openData(t))
	var all []consumer.Entry
	for i := range 50 {
		all = append(all, consumer.Entry{Line: i + 1, Bad: "is bad"})
	}
	got, err := n.Import(t.Context(), &entries{all: all}, consumer.ImportOptions{})
	if err != nil || got.Rejected != 50 || len(got.Problems) != 20 || got.Problems[0] != (consumer.ImportProblem{Line: 1, Reason: "is bad"}) {
		t.Errorf("Import() = %+v, %v", got, err)
	}
}
